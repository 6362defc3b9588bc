"""Composing lazy results: gather, pipeline, sequence, unpack and map."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeVar, overload

from cascade.spec.calls.signatures import Function
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import CallError, NotLazyError, SpecError
from cascade.spec.internal_tasks import CALL_FACTORY, COLLECT, UNPACK, check_lazy, name_of_factory
from cascade.spec.lazy_types import Lazy, LazyResult, MappedLazyResult, SequenceLazyResult
from cascade.spec.routing import AnyRouter, Router, as_value
from cascade.spec.targets import check_called, wrong_target
from cascade.spec.task import ITEM, Task

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
R = TypeVar("R")


def gather(*lazies: LazyResult[R] | Router[R]) -> LazyResult[list[R]]:
    """Return the lazy result of a list with the value of each.

    Raises:
        NotLazyError: If one is no lazy result.
    """
    for lazy in lazies:
        check_lazy(lazy, "cs.gather")
    return COLLECT(list(lazies))


@overload
def unpack(lazy: LazyResult[tuple[A]], count: Literal[1]) -> tuple[LazyResult[A]]: ...
@overload
def unpack(lazy: LazyResult[tuple[A, B]], count: Literal[2]) -> tuple[LazyResult[A], LazyResult[B]]: ...
@overload
def unpack(
    lazy: LazyResult[tuple[A, B, C]], count: Literal[3]
) -> tuple[LazyResult[A], LazyResult[B], LazyResult[C]]: ...
@overload
def unpack(
    lazy: LazyResult[tuple[A, B, C, D]], count: Literal[4]
) -> tuple[LazyResult[A], LazyResult[B], LazyResult[C], LazyResult[D]]: ...
@overload
def unpack(lazy: LazyResult[Iterable[R]], count: int) -> tuple[LazyResult[R], ...]: ...
@overload
def unpack(lazy: Lazy | AnyRouter, count: int) -> tuple[Lazy, ...]: ...
def unpack(lazy: Lazy | AnyRouter, count: int) -> tuple[Lazy, ...]:
    """Return the lazy results of the `count` parts of a value: `a, b = cs.unpack(f(), 2)`.

    The value may be any iterable; a run fails with `UnpackError` if it has more or fewer parts.

    Raises:
        NotLazyError: If `lazy` is no lazy result.
        SpecError: If `count` is no number of 1 or more.
    """
    check_lazy(lazy, "cs.unpack")
    if type(count) is not int or count < 1:
        raise SpecError(f"cs.unpack(lazy, {count!r})", "give the number of values, 1 or more")
    parts = UNPACK(lazy, count)
    return tuple(ITEM(parts, index) for index in range(count))


def sequence(lazies: Iterable[Lazy | AnyRouter]) -> SequenceLazyResult[Any]:
    """Run these lazy results one after another; the value is that of the last one.

    The sequence is no node of its own, it only adds an order. A skipped member skips those after it.

    Raises:
        NotLazyError: If one is no lazy result.
        SpecError: If there is none.
    """
    if isinstance(lazies, StandsForValue):
        raise NotLazyError("cs.sequence got one lazy result", "give a list of them: cs.sequence([a, b])")
    members: list[Lazy] = []
    for each in lazies:
        check_lazy(each, "cs.sequence")
        lazy = each.as_lazy()
        members.extend(lazy.members if isinstance(lazy, SequenceLazyResult) else (lazy,))
    if not members:
        raise SpecError("cs.sequence of nothing", "give at least one lazy result")
    return SequenceLazyResult(members)


def pipeline(value: object, steps: Sequence[Function]) -> Lazy:
    """Pass `value`, plain or lazy, through the steps: `pipeline(value, [f, g])` is `g(f(value))`.

    A step is a task or a function, which is called now. It may return a lazy result, a router or a plain value.

    Raises:
        SpecError: If there is no step, or one can't be called.
    """
    if not isinstance(steps, Iterable):
        raise SpecError(
            f"the steps of cs.pipeline are {steps!r}", "give a list of tasks: cs.pipeline(value, [f, g])"
        )
    if not steps:
        raise SpecError("cs.pipeline without steps", "give at least one task: cs.pipeline(value, [f, g])")
    for number, step in enumerate(steps, 1):
        if isinstance(step, StandsForValue) or not callable(step):
            shown = repr(step) if isinstance(step, StandsForValue) else type(step).__name__
            raise SpecError(
                f"step {number} of cs.pipeline is {shown}", "give the task itself, which the pipeline calls"
            )
        value = step(value)
    return value.as_lazy() if isinstance(value, (LazyResult, Router)) else as_value(value)


def map(
    factory: Callable[..., LazyResult[R] | Router[R]],
    /,
    *args: object,
    max_concurrency: int | None = None,
    **kwargs: object,
) -> MappedLazyResult[R]:
    """Call `factory` once per item and run the lazy result that it returns; as `Task.map` otherwise.

    Raises:
        CallError: If the factory does not take these arguments.
    """
    if isinstance(factory, Task):
        return factory.map(*args, max_concurrency=max_concurrency, **kwargs)
    if isinstance(factory, StandsForValue):
        raise SpecError(f"cs.map got {factory!r}", "give the task itself, which the map calls")
    if not callable(factory):
        raise SpecError(
            f"cs.map got {type(factory).__name__}", "give a task or a function first: cs.map(f, items)"
        )
    try:
        signature = inspect.signature(factory)
        signature.bind(*args, **kwargs)
    except TypeError as problem:
        raise CallError(name_of_factory(factory), str(inspect.signature(factory)), str(problem)) from None
    return CALL_FACTORY.partial(factory).map(*args, max_concurrency=max_concurrency, **kwargs)


def as_target(target: object) -> Lazy:
    """Return the lazy result of a run's target; a list, tuple or dict is gathered.

    Raises:
        NotLazyError: If it is none of these.
    """
    if isinstance(target, (LazyResult, Router)):
        return target.as_lazy()
    if type(target) in (list, tuple, dict):
        check_called(target)
        return COLLECT(target)
    raise wrong_target(target)
