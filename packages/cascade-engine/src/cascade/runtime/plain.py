"""Plain calls: what the ways that make them one after the other, without frames, have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cascade.spec.arguments import LOOKED_INTO, has_types, holds_inside
from cascade.spec.internal import COLLECT
from cascade.spec.lazy_types import (
    ConfiguredLazyResult,
    LazyResult,
    MappedLazyResult,
    ParamLazyResult,
    SequenceLazyResult,
)
from cascade.spec.policies import NO_POLICIES, Policies
from cascade.spec.quoting import Quoted
from cascade.spec.standing import StandsForValue

TURN_SECONDS = 0.01
"""For how long inline calls may follow each other before the event loop gets its turn."""

Lazies = list[LazyResult[Any]]
"""The lazy results of one tree, in the order of its program."""

LAZY_TYPES = frozenset(
    {LazyResult, ConfiguredLazyResult, MappedLazyResult, ParamLazyResult, SequenceLazyResult}
)
"""The types of a value that stands for a tree to be run in its place."""


GIVEN_TYPES = LOOKED_INTO
"""The types of what a call gives that `given` has something to do with; all others are values."""


def given(value: Any) -> Any:
    """Return what a call has given: a lazy result to be run in its place, or the value.

    A list, tuple or dict with lazy results inside is gathered, one without is handed on as the same object. What is
    quoted is not searched.
    """
    kind = type(value)
    if kind is Quoted:
        return value.value
    if isinstance(value, StandsForValue):
        return value.as_lazy()
    return COLLECT(value) if kind in GIVEN_TYPES and holds_inside(value) else value


def take_given(values: list[Any], begin: int = 0) -> bool:
    """Put what was given in the place of values from `begin` on; tell whether lazy results are among them."""
    # Once per node of every plain graph: watched by observatory/benchmarks/bench_graphs.py.
    if not has_types(values[begin:] if begin else values, GIVEN_TYPES):
        return False
    has_lazy = False
    for place in range(begin, len(values)):
        if type(values[place]) in GIVEN_TYPES:
            values[place] = given(values[place])
            has_lazy = has_lazy or type(values[place]) in LAZY_TYPES
    return has_lazy


def is_simple(policies: Policies) -> bool:
    """Tell whether a call with these policies is made by calling its function; a retry begins with a failure."""
    return policies is NO_POLICIES or (
        policies.timeout is None and policies.cache is None and policies.constraints is None
    )


class Stopped:
    """Where plain calls could not go on: at `node`, which raised `error` or returned the lazy `value`.

    With no node only the turn was over. `values` are those known by then, by position; `MISSING` for the others.
    `trees` are the nodes that returned lazy values before this one, with those.
    """

    __slots__ = ("began", "error", "node", "trees", "value", "values")

    def __init__(
        self,
        node: int | None,
        values: Sequence[Any],
        error: BaseException | None,
        value: Any = None,
        began: float = 0.0,
        trees: Sequence[tuple[int, Any]] = (),
    ) -> None:
        self.began = began
        self.node = node
        self.trees = trees
        self.values = values
        self.error = error
        self.value = value
