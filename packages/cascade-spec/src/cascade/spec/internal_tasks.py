"""Cascade's own tasks. For graph and engine they are nodes like any other, named like what the user wrote.

A record names them by their key in `INTERNAL`. They take next to no time, so they run inline, whatever mode other calls
have. Their values are not stored: they are computed again from values that are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Protocol

from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import NotLazyError, UnpackError
from cascade.spec.task import ITEM, AnyTask, own_task


def _hand_on(value: object) -> Quoted:
    return Quoted(value)  # what is in it has been searched when it was given


def _collect(values: object) -> Quoted:
    return Quoted(values)


COLLECT = own_task(_collect, "gather", "COLLECT")
"""Returns its argument, with values in place of the lazy results inside it."""

CHOOSE = own_task(_hand_on, "router", "CHOOSE")
"""Returns the choice of its argument, a router: it stands for a router that is no argument of a call."""

VALUE = own_task(_hand_on, "value", "VALUE")
"""Returns a plain value: it stands for one where a lazy result belongs, as a route or a pipeline's step."""


def _unpack(values: Iterable[object], count: int) -> Quoted:
    parts = tuple(islice(values, count + 1))
    if len(parts) != count:
        raise UnpackError(count, len(parts))
    return Quoted(parts)


UNPACK = own_task(_unpack, "unpack", "UNPACK")
"""Returns the values of an iterable, as a tuple of the length that was asked for."""


def _call_factory(
    factory: Callable[..., StandsForValue], /, *args: object, **kwargs: object
) -> StandsForValue:
    made = factory(*args, **kwargs)
    if not isinstance(made, StandsForValue):
        check_lazy(made, f"{name_of_factory(factory)!r} in cs.map")
    return made.as_lazy()


CALL_FACTORY = own_task(_call_factory, "map", "CALL_FACTORY")
"""Calls the factory of `cs.map` for one item and returns the item's lazy result."""


class Contract(Protocol):
    """The part of a contract that the task which reads an input needs."""

    def read(self, inputs: Mapping[str, object]) -> object:
        """Return the value; `inputs` are the parameters of the run by name."""


def _read_input(contract: Contract, inputs: Mapping[str, object]) -> Quoted:
    return Quoted(contract.read(inputs))


READ_INPUT = own_task(_read_input, "input", "READ_INPUT")
"""Reads the value of a `Param`, an `Env` or a `Secret`."""

INTERNAL: dict[str, AnyTask] = {
    task.name: task for task in (COLLECT, CHOOSE, VALUE, ITEM, UNPACK, CALL_FACTORY, READ_INPUT)
}
"""All of them, by name."""

INTERNAL_TASKS = frozenset(INTERNAL.values())
"""All of them, to ask whether a task is one."""

PASS_THROUGH = INTERNAL_TASKS - {CALL_FACTORY}
"""Those that only return values that they got; `CALL_FACTORY` calls a function of the user's."""


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
    """Return the name of a callable for errors."""
    return getattr(factory, "__name__", type(factory).__name__)
