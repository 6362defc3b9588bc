"""Tasks and resources on their way to a cluster: by reference where workers can import them, else by value.

By value go tasks of `__main__`, of a notebook, of a file that is no importable module, and tasks inside functions. Each
has a name that both sides know, so that a lazy result which comes home holds the very task that was sent.
"""

from __future__ import annotations

import sys
import uuid
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from cascade.adapters.executors.worker_processes.locations import MAIN, odd_locations, reference_here
from cascade.spec.errors import TaskReferenceError
from cascade.spec.resource import Resource
from cascade.spec.task import AnyTask, Task

TaskName = tuple[str, int]
"""The process that a task was made in, and its number there."""

_HERE = uuid.uuid4().hex
"""This process, among all that exchange tasks with it."""

_NOT_SENT = frozenset({"signature", "is_async", "injected", "positional", "has_plain_parameters", "serial"})
"""What a task knows of itself that is found out again, or is true in one process only."""

_sent: weakref.WeakValueDictionary[TaskName, AnyTask] = weakref.WeakValueDictionary()
"""The tasks of this process that have gone out by value, and those that have come in by value."""

_names: weakref.WeakKeyDictionary[AnyTask, TaskName] = weakref.WeakKeyDictionary()


class Locations:
    """Tells which modules workers can't import by name. Looks at each module of this process once."""

    def __init__(self) -> None:
        self._looked_at = -1
        self._odd: frozenset[str] = frozenset()

    def odd(self) -> frozenset[str]:
        """Return the modules whose code goes by value, beside `__main__`."""
        if len(sys.modules) != self._looked_at:
            self._odd = frozenset({*odd_locations(), *_without_file()})
            self._looked_at = len(sys.modules)
        return self._odd


def _without_file() -> Iterator[str]:
    """Give the modules that were made in memory, and so are in no file that could be imported."""
    for name, module in [*sys.modules.items()]:
        if type(module) is ModuleType and name not in (MAIN, "__mp_main__"):
            known = vars(module)
            if known.get("__spec__") is None and known.get("__file__") is None:
                yield name


def goes_by_value(task: AnyTask, odd: frozenset[str]) -> bool:
    """Tell whether a task is sent with its code."""
    reference = reference_here(task)
    return (
        reference.module in (MAIN, "__mp_main__") or reference.module in odd or reference.find() is not task
    )


def reduce_task(task: AnyTask, odd: frozenset[str]) -> tuple[Any, ...]:
    """Return how a task is pickled, for a pickler that takes functions by value."""
    name = _names.get(task)
    if name is not None and name[0] != _HERE:
        return find_sent, (name, task.name)  # it goes home
    if not goes_by_value(task, odd):
        return task.__reduce__()
    if name is None:
        name = _names[task] = (_HERE, task.serial)
        _sent[name] = task
    state = {key: value for key, value in vars(task).items() if key not in _NOT_SENT}
    return _blank, (type(task), name), state, None, None, _fill


def reduce_resource(resource: Resource, odd: frozenset[str]) -> tuple[Any, ...]:
    """Return how a resource of workers is pickled, in the same way; what it needs goes beside it."""
    module = resource.reference[0]
    if module in (MAIN, "__mp_main__") or module in odd or not resource.is_found:
        return Resource, (resource.func, resource.name, resource.scope, {}, False, {}, resource.where)
    return resource.__reduce__()


def find_sent(name: TaskName, task: str) -> AnyTask:
    """Return the task of this process that went out under a name.

    Raises:
        TaskReferenceError: If it is gone.
    """
    found = _sent.get(name)
    if found is None:
        raise TaskReferenceError(task, f"task {name[1]} of another process")
    return found


def _blank(cls: type[AnyTask], name: TaskName) -> AnyTask:
    """Return a task that gets its state next, or the one that came under this name before."""
    known = _sent.get(name)
    if known is not None:
        return known
    task: AnyTask = Task(_to_come)
    task.__class__ = cls
    _sent[name] = task
    _names[task] = name
    return task


def _fill(task: AnyTask, state: dict[str, object]) -> None:
    vars(task).update(state)


def _to_come() -> None:
    """Stand for the function of a task that is being unpickled."""
