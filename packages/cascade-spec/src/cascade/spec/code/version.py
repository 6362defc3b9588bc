"""Code versions: what a task's code is, so that a cached value is not taken for that of other code.

A version covers the text of the function, the functions and classes that it names, and the constants that it reads,
wherever these lie but in libraries. It is read once per task.
"""

from __future__ import annotations

import os
from types import FunctionType
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cascade.spec.code.classes import describe_class
from cascade.spec.code.descriptions import Describer, Description, Reached
from cascade.spec.code.functions import describe_function
from cascade.spec.code.value_kinds import DescribeValue
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import SourceMissingError
from cascade.spec.source.references import loaded_names
from cascade.spec.source.texts import is_installed
from cascade.spec.tasks.definition import TaskDefinition


class TaskCode(NamedTuple):
    """The code version of a task, in hex, with what it can't tell, and the task's name.

    `is_private` says that the task closes over what a version can't tell; a task that is found by its module and name
    is never private: there is one of it in each process. `place` is the file of a script whose task reads what a
    version does not see, since another script may have the same name and text and read something else. It is empty for
    other tasks.
    """

    version: str
    is_private: bool
    reference: str
    place: str = ""


def code_version(task: TaskDefinition) -> str:
    """Return the sha256, in hex, of the code that a call of `task` runs; read at the first use of the task.

    It covers the syntax of the function, without docstrings, comments and the decorators above it; defaults; what it
    reads by name, as far as that is plain, immutable or a class; and the same for each function, class and task that
    is named, in the task's own package or outside the standard library and installed packages. A library is told by
    the names that the code uses. Policies such as retry are no part of it, but a `version=` is.

    It is the same in every process and every version of Python. It does not see what is reached in other ways: through
    lists, dicts and objects, through imports inside functions, by `getattr` or `eval`.

    Raises:
        SourceMissingError: If the text of a function is not there, and `@cs.task(version=...)` does not stand for it.
    """
    return code_of(task).version


def code_of(task: TaskDefinition, version: str = "") -> TaskCode:
    """Return the code version of a task with what it can't tell; as `code_version`.

    Where `version` is given, it stands for text that is not there, as the task's own version does.
    """
    known = _known.get(task)
    if known is None:
        try:
            known = _known[task] = _read(task, bool(task.version))
        except SourceMissingError:
            if not version:
                raise
            known = _read(task, is_excused=True)
    return known


_known: WeakKeyDictionary[TaskDefinition, TaskCode] = WeakKeyDictionary()


def _read(task: TaskDefinition, is_excused: bool) -> TaskCode:
    reference = task.reference
    package = reference.module.partition(".")[0]
    describer = Describer(task.name, package, is_excused)
    root = (task.version, DescribeValue(describer, closed_over=True)(task.func))
    described = describer.all(lambda reached: _describe(reached, describer))
    is_private = describer.is_private and reference.find() is not task
    place = _place(reference.module) if describer.is_partial else ""
    return TaskCode(digest((root, tuple(described))).hex(), is_private, str(reference), place)


def _place(module: str) -> str:
    """Return the file of a module that is in no package and not installed; its name says little."""
    file = loaded_names(module).get("__file__")
    if "." in module or not isinstance(file, str) or is_installed(file):
        return ""
    return os.path.realpath(file)


def _describe(reached: Reached, describer: Describer) -> Description:
    if isinstance(reached.value, FunctionType):
        return describe_function(reached, describer)
    return describe_class(reached, describer)
