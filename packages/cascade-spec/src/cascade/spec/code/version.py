"""Code versions: a digest of a task's code, so that a cached value is not used after the code has changed.

A version covers the text of the function, the functions and classes that it names, and the constants that it reads,
except those of libraries. It is computed once per task.
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
    """The code version of a task, in hex, the task's name, and what the version does not cover.

    `is_private` says that the task closes over something that a version can't cover. A task that is found by its module
    and name is never private: each process has one of it. `place` is the file of a script whose task reads something
    that a version does not cover, as another script may have the same name and text. It is empty for other tasks.
    """

    version: str
    is_private: bool
    reference: str
    place: str = ""


def code_version(task: TaskDefinition) -> str:
    """Return the sha256, in hex, of the code that a call of `task` runs; it is computed at the first use of the task.

    It covers the syntax of the function, without docstrings, comments and the decorators above it; its defaults; and
    what it reads by name, as far as that is plain, immutable or a class. It covers in the same way each function, class
    and task that is named there and belongs to the task's own package, or lies outside the standard library and
    installed packages. Of a library it covers the names that the code uses. A `version=` is part of it; policies such
    as retry are not.

    It is the same in every process and every version of Python. It does not cover what is reached in other ways:
    through lists, dicts and objects, through imports inside functions, by `getattr` or `eval`.

    Raises:
        SourceMissingError: If the text of a function is not there, and `@cs.task(version=...)` does not stand for it.
    """
    return code_of(task).version


def code_of(task: TaskDefinition, version: str = "") -> TaskCode:
    """Return the code version of a task with what it does not cover; as `code_version`.

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
    """Return the file of a module that is in no package and not installed: another may have its name."""
    file = loaded_names(module).get("__file__")
    if "." in module or not isinstance(file, str) or is_installed(file):
        return ""
    return os.path.realpath(file)


def _describe(reached: Reached, describer: Describer) -> Description:
    if isinstance(reached.value, FunctionType):
        return describe_function(reached, describer)
    return describe_class(reached, describer)
