"""Composing lazy results: gather, pipeline, sequence and map."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from cascade.spec.errors import CallError, NotLazyError, SpecError
from cascade.spec.lazy_types import LazyResult, MappedLazyResult, SequenceLazyResult
from cascade.spec.task import Task

R = TypeVar("R")


def _collect(values: Any) -> Any:
    return values


COLLECT: Task[Any] = Task(_collect, name="gather")
"""The internal task whose value is its argument, with the values of the lazy results inside it."""


def gather(*lazies: LazyResult[R]) -> LazyResult[list[R]]:
    """Return the lazy result of a list with the value of each.

    Raises:
        NotLazyError: If one is no lazy result.
    """
    for lazy in lazies:
        _check_lazy(lazy, "cs.gather")
    return COLLECT(list(lazies))


def sequence(lazies: Iterable[LazyResult[Any]]) -> SequenceLazyResult[Any]:
    """Run these very lazy results one after another; the value is the last one's.

    It is no node itself: it only adds the order. A skipped member skips those after it.

    Raises:
        NotLazyError: If one is no lazy result.
        SpecError: If there is none.
    """
    if isinstance(lazies, LazyResult):
        raise NotLazyError("cs.sequence got one lazy result", "give a list of them: cs.sequence([a, b])")
    members: list[LazyResult[Any]] = []
    for lazy in lazies:
        _check_lazy(lazy, "cs.sequence")
        members.extend(lazy.members if isinstance(lazy, SequenceLazyResult) else (lazy,))
    if not members:
        raise SpecError("cs.sequence of nothing", "give at least one lazy result")
    return SequenceLazyResult(members)


def pipeline(value: Any, steps: Sequence[Callable[[Any], LazyResult[Any]]]) -> LazyResult[Any]:
    """Give `value`, plain or lazy, to the first step, what that gives to the second, and so on: `g(f(value))`.

    Raises:
        SpecError: If there is no step.
        NotLazyError: If a step gives no lazy result.
    """
    if not steps:
        raise SpecError("cs.pipeline without steps", "give at least one task: cs.pipeline(value, [f, g])")
    for step in steps:
        value = step(value)
        _check_lazy(value, f"step {getattr(step, 'name', step)!r} of cs.pipeline")
    lazy: LazyResult[Any] = value
    return lazy


def _call_factory(factory: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    made = factory(*args, **kwargs)
    _check_lazy(made, f"{_name_of(factory)!r} in cs.map")
    return made


CALL_FACTORY: Task[Any] = Task(_call_factory, name="map")
"""The internal task that makes one item of `cs.map`: it returns the item's lazy result."""


def map(
    factory: Callable[..., LazyResult[R]], /, *args: Any, max_concurrency: int | None = None, **kwargs: Any
) -> MappedLazyResult[R]:
    """Call `factory` once per item and run the lazy result that it returns; as `Task.map` otherwise.

    Raises:
        CallError: If the factory does not take these arguments.
    """
    if isinstance(factory, Task):
        return factory.map(*args, max_concurrency=max_concurrency, **kwargs)
    try:
        signature = inspect.signature(factory)
        signature.bind(*args, **kwargs)
    except TypeError as problem:
        told = "" if not callable(factory) else str(inspect.signature(factory))
        raise CallError(_name_of(factory), told, str(problem)) from None
    return CALL_FACTORY.partial(factory).map(*args, max_concurrency=max_concurrency, **kwargs)


def as_target(target: object) -> LazyResult[Any]:
    """Return the lazy result that a run's target stands for: itself, or the gathering of a list, tuple or dict.

    Raises:
        NotLazyError: If it is none of these.
    """
    if isinstance(target, LazyResult):
        return target
    if type(target) in (list, tuple, dict):
        return COLLECT(target)
    raise NotLazyError(
        f"the target is {type(target).__name__}",
        "give the lazy result that calling a task returns, or a list or dict of them",
    )


def _check_lazy(value: object, where: str) -> None:
    if not isinstance(value, LazyResult):
        raise NotLazyError(
            f"{where} got {type(value).__name__}", "give the lazy result that calling a task returns"
        )


def _name_of(factory: object) -> str:
    return getattr(factory, "__name__", type(factory).__name__)
