"""Code versions: what a task's code is, so that a cached value is not taken for that of other code.

A version covers the text of the function, the functions and classes that it names, and the plain constants that it
reads, wherever these lie but in the standard library and among installed packages. It is read once per task.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from cascade.spec.encoding import digest
from cascade.spec.pieces import Piece, is_plain, piece_of
from cascade.spec.task import Task


class TaskCode(NamedTuple):
    """The code version of a task, in hex, whether the task closes over what a version can't tell, and its name.

    A task that is found by its module and name is never private: there is one of it in each process.
    """

    version: str
    is_private: bool
    reference: str


def code_version(task: Task[Any]) -> str:
    """Return the sha256, in hex, of the code that a call of `task` runs; read at the first use of the task.

    It covers the syntax of the function, without docstrings, comments and the decorators above it; defaults; closure
    values and constants of modules read by name that are plain and immutable (numbers, strings, bytes, booleans,
    `None`, tuples of these); and the same for each function, class and task that is named, in the task's own package
    or outside the standard library and installed packages. Policies such as retry are no part of it.

    It does not see what is reached in other ways: through lists, dicts and objects, through imports inside functions,
    by `getattr` or `eval`. Where the text of a function can't be read, or is not what it was made from, its bytecode
    takes its place, which differs between versions of Python.
    """
    return code_of(task).version


def code_of(task: Task[Any]) -> TaskCode:
    """Return the code version of a task with what it can't tell; as `code_version`."""
    known = _known.get(task)
    if known is None:
        known = _known[task] = _read(task)
    return known


_known: WeakKeyDictionary[Task[Any], TaskCode] = WeakKeyDictionary()


def _read(task: Task[Any]) -> TaskCode:
    """Read the pieces of code that a task consists of: its function, then each that one found so far names."""
    package = str(task.reference.module or "").partition(".")[0]
    root = piece_of(task, package)
    positions = {id(root.value): 0}
    pieces: list[Piece] = [root]
    told: list[object] = []
    private = False
    for piece in pieces:  # it grows on the way
        names: list[object] = []
        for name, value, closed_over in piece.names:
            if is_plain(value):
                names.append((name, "=", value))
                continue
            found = piece_of(value, package)
            if not found.is_code:
                private = private or closed_over
            at = positions.get(id(found.value))
            if at is None:
                at = positions[id(found.value)] = len(pieces)
                pieces.append(found)
            names.append((name, "->", at))
        told.append((piece.kind, piece.own, tuple(names)))
    is_private = (private or not root.is_code) and task.reference.find() is not task
    return TaskCode(digest(tuple(told)).hex(), is_private, str(task.reference))
