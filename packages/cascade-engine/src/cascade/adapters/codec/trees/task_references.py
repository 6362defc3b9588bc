"""References from a record to code: tasks, factories and classes, found among imported modules, never by import.

A record may come from a store that others write to. So a reference leads only to what workflows are made of: a task, an
exception, a type, or a function in a module that defines tasks. `os.system` is none of these.
"""

from __future__ import annotations

import sys
from types import FunctionType
from typing import TypeAlias

from cascade.adapters.codec.trees.tree_layout import INTERNAL
from cascade.adapters.codec.untyped import Decoded, Foreign
from cascade.spec.calls.missing import MISSING
from cascade.spec.errors import StoredReferenceError, TaskReferenceError
from cascade.spec.source.references import (
    find_loaded,
    is_class,
    loaded_names,
    module_of,
    reference_of,
)
from cascade.spec.task import AnyTask, Task

Reference: TypeAlias = list[Decoded]
"""`[module, qualified name]`; for a task of Cascade's own `[None, name]`."""


def reference_of_task(task: AnyTask) -> Reference:
    """Return the reference to a task.

    Raises:
        TaskReferenceError: If it is not what stands under its name, as a task inside a function.
    """
    if INTERNAL.get(task.name) is task:
        return [None, task.name]
    reference = task.reference
    if reference.find() is not task:
        raise TaskReferenceError(task.name, str(reference))
    return [*reference]


def find_task(reference: Reference) -> AnyTask:
    """Return the task of a record.

    Raises:
        StoredReferenceError: If there is none.
    """
    module, qualname = reference
    if module is None and qualname in INTERNAL:
        return INTERNAL[qualname]
    found = _found(module, qualname)
    if not issubclass(type(found), Task):
        raise _no_longer(module, qualname, "a task")
    task: AnyTask = found
    return task


def reference_of_function(function: object) -> Reference | None:
    """Return the reference to a function; `None` if a record may not name it."""
    if type(function) is not FunctionType:
        return None
    reference = [module_of(function), function.__qualname__]
    return (
        reference
        if _stands_beside_tasks(function, *reference) and find_loaded(*reference) is function
        else None
    )


def find_function(reference: Reference) -> object:
    """Return the function of a record.

    Raises:
        StoredReferenceError: If there is none, or none that a record may name.
    """
    module, qualname = reference
    found = _found(module, qualname)
    if not _stands_beside_tasks(found, module, qualname):
        raise _no_longer(module, qualname, "a function in a module that defines tasks")
    return found


def reference_of_class(cls: object) -> Reference | None:
    """Return the reference to a class; `None` if it is not found by its name, or is no class."""
    if not is_class(cls):
        return None
    reference = [*reference_of(cls)]
    return reference if find_loaded(*reference) is cls else None


def find_class(reference: Reference) -> Foreign:
    """Return the class of a record.

    Raises:
        StoredReferenceError: If there is none.
    """
    module, qualname = reference
    found = _found(module, qualname)
    if not is_class(found):
        raise _no_longer(module, qualname, "a class")
    return found


def find_exception(reference: Reference) -> type[Exception]:
    """Return the class of exceptions of a record.

    Raises:
        StoredReferenceError: If there is none.
    """
    found: type[Exception] = find_class(reference)
    if not issubclass(found, Exception):
        raise _no_longer(*reference, "an exception")
    return found


def defines_tasks(module: str) -> bool:
    """Tell whether a task stands at the top of a module."""
    return any(issubclass(type(value), Task) for value in loaded_names(module).values())


def may_convert(reference: Reference) -> bool:
    """Tell whether a record may name a class that converts the text of an environment variable.

    It does so by being called. So it is one of plain data, or stands in the same module as tasks.
    """
    module, _ = reference
    return module in _CONVERTING or defines_tasks(module)


_CONVERTING = frozenset(
    {
        "builtins",
        "cascade.spec.files",
        "datetime",
        "decimal",
        "fractions",
        "pathlib",
        "pathlib._local",
        "typing",
        "uuid",
    }
)


def _stands_beside_tasks(found: object, module: str, qualname: str) -> bool:
    return (
        type(found) is FunctionType
        and (module_of(found), found.__qualname__) == (module, qualname)
        and defines_tasks(module)
    )


def _found(module: str, qualname: str) -> Foreign:
    found = find_loaded(module, qualname)
    if found is not MISSING:
        return found
    if module in sys.modules:
        raise _no_longer(module, qualname, "there")
    raise StoredReferenceError(
        f"{module}.{qualname}", f"the module {module} is not imported", f"import {module} first"
    )


def _no_longer(module: str, qualname: str, what: str) -> StoredReferenceError:
    return StoredReferenceError(
        f"{module}.{qualname}",
        f"it is not {what}",
        "bring back what the data was made with, or delete the data",
    )
