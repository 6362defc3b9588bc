"""Quoting: data that is passed on as it is, without a search for lazy results inside it."""

from __future__ import annotations

from typing import Any, TypeVar, cast

from cascade.spec.calls.arguments import marker
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import SpecError

T = TypeVar("T")


@marker
class Quoted:
    """Stands for `value` as it is, in an argument at any depth or as what a task returns."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"<Quoted {type(self.value).__name__}>"


def quote(value: T) -> T:
    """Mark `value` as data with nothing lazy inside, so that it is not searched.

    Use it for an argument, as in `f(cs.quote(rows))`, or in a `return`. The task gets the same object. The result has
    the type of `value` for type checkers, so that it can stand wherever `value` can.

    Raises:
        SpecError: If the value is a lazy result or a router itself.
    """
    if isinstance(value, StandsForValue):
        raise SpecError(f"cs.quote of {value!r}", "quote data; a lazy result stands for itself")
    return value if isinstance(value, Quoted) else cast("T", Quoted(value))
