"""`@cs.task`: makes a task of a function."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, Unpack, overload

from cascade.spec.calls.signatures import Function, show_keywords
from cascade.spec.errors import PolicyError, SpecError
from cascade.spec.lazy_types import ITEM as ITEM
from cascade.spec.lazy_types import AnyTask as AnyTask
from cascade.spec.lazy_types import LazyResult
from cascade.spec.lazy_types import PartialTask as PartialTask
from cascade.spec.lazy_types import Task as Task
from cascade.spec.lazy_types import _import_task as _import_task  # where pickles of Cascade 0.1 look for it
from cascade.spec.lazy_types import own_task as own_task
from cascade.spec.policies.declared import Policies, PolicyKeywords, policies_of
from cascade.spec.tasks.definition import TaskReference as TaskReference
from cascade.spec.tasks.map_inputs import as_items as as_items
from cascade.spec.tasks.map_inputs import check_lengths as check_lengths

R = TypeVar("R")


@overload
def task(func: Callable[..., Coroutine[Any, Any, LazyResult[R]]], /) -> Task[R]: ...
@overload
def task(func: Callable[..., LazyResult[R]], /) -> Task[R]: ...
@overload
def task(func: Callable[..., Coroutine[Any, Any, R | LazyResult[R]]], /) -> Task[R]: ...
@overload
def task(func: Callable[..., R | LazyResult[R]], /) -> Task[R]: ...
@overload
def task(
    *,
    name: str | None = None,
    on: str | None = None,
    version: str = "",
    **policies: Unpack[PolicyKeywords],
) -> _TaskDecorator: ...
def task(
    func: Function | None = None,
    /,
    *,
    name: str | None = None,
    on: str | None = None,
    version: str = "",
    **policies: Unpack[PolicyKeywords],
) -> Any:
    """Make a task of a function, sync or async; the policies are those that each of its calls starts with.

    `retry` is a number of retries or a `RetryPolicy`, `timeout` seconds, `mode` where a plain `def` runs, `on` the
    name of one of the engine's `executors`, which then makes the calls. `version` is part of the task's code version:
    change it by hand where the code does not show a change.

    Raises:
        PolicyError: If a policy makes no sense.
        SpecError: If `name` or `on` is no text.
    """
    if name is not None and not (isinstance(name, str) and name):
        raise SpecError(f"@cs.task(name={name!r})", "give a text that is not empty")
    if on is not None and not (isinstance(on, str) and on):
        raise SpecError(f"@cs.task(on={on!r})", "give the name of one of the engine's executors")
    if not isinstance(version, str):
        raise PolicyError(f"@cs.task(version={version!r})", "give a text, such as '2'")
    decorator = _TaskDecorator(name, policies_of(policies), on, version)
    return decorator if func is None else decorator(func)


show_keywords(task, ((name, kind, None) for name, kind in PolicyKeywords.__annotations__.items()))


class _TaskDecorator:
    """The decorator that `@cs.task(...)` returns."""

    def __init__(self, name: str | None, policies: Policies, on: str | None, version: str) -> None:
        self._name = name
        self._policies = policies
        self._on = on
        self._version = version

    @overload
    def __call__(self, func: Callable[..., Coroutine[Any, Any, LazyResult[R]]]) -> Task[R]: ...
    @overload
    def __call__(self, func: Callable[..., LazyResult[R]]) -> Task[R]: ...
    @overload
    def __call__(self, func: Callable[..., Coroutine[Any, Any, R | LazyResult[R]]]) -> Task[R]: ...
    @overload
    def __call__(self, func: Callable[..., R | LazyResult[R]]) -> Task[R]: ...
    def __call__(self, func: Function) -> AnyTask:
        return Task(func, self._name, self._policies, self._on, self._version)
