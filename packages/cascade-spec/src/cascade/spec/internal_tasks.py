"""Cascade's own tasks: nodes like any other to graph and engine, and named like what the user wrote.

A record names them by their place in `INTERNAL`. They do next to nothing: they run inline wherever other calls run, and
what they give is not stored, as it is made again from what is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import NotLazyError, UnpackError
from cascade.spec.task import ITEM, Task, own_task


def _hand_on(value: Any) -> Any:
    return Quoted(value)  # what is in it has been searched when it was given


def _collect(values: Any) -> Any:
    return Quoted(values)


COLLECT: Task[Any] = own_task(_collect, "gather", "COLLECT")
"""Gives its argument, with the values of the lazy results inside it."""

CHOOSE: Task[Any] = own_task(_hand_on, "router", "CHOOSE")
"""Hands on what its argument, a router, has chosen: what stands for a router where there is no call around it."""

VALUE: Task[Any] = own_task(_hand_on, "value", "VALUE")
"""Hands on a plain value: what stands for one where a lazy result belongs, as a route or a pipeline's step."""


def _unpack(values: Iterable[Any], count: int) -> Any:
    parts = tuple(islice(values, count + 1))
    if len(parts) != count:
        raise UnpackError(count, len(parts))
    return Quoted(parts)


UNPACK: Task[Any] = own_task(_unpack, "unpack", "UNPACK")
"""Gives the values of an iterable, which are as many as was said."""


def _call_factory(factory: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    made = factory(*args, **kwargs)
    check_lazy(made, f"{name_of_factory(factory)!r} in cs.map")
    return made.as_lazy()


CALL_FACTORY: Task[Any] = own_task(_call_factory, "map", "CALL_FACTORY")
"""Makes one item of `cs.map`: it returns the item's lazy result."""


def _read_input(contract: Any, inputs: Any) -> Any:
    return Quoted(contract.read(inputs))


READ_INPUT: Task[Any] = own_task(_read_input, "input", "READ_INPUT")
"""Reads the value of a `Param`, an `Env` or a `Secret`."""

INTERNAL: dict[str, Task[Any]] = {
    task.name: task for task in (COLLECT, CHOOSE, VALUE, ITEM, UNPACK, CALL_FACTORY, READ_INPUT)
}
"""All of them, by name."""


def check_lazy(value: object, where: str) -> None:
    """Check that a value is a lazy result or a router.

    Raises:
        NotLazyError: If not; it says where.
    """
    if not isinstance(value, StandsForValue):
        raise NotLazyError(
            f"{where} got {type(value).__name__}", "give the lazy result that calling a task returns"
        )


def name_of_factory(factory: object) -> str:
    """Return what a callable is called in errors."""
    return getattr(factory, "__name__", type(factory).__name__)
