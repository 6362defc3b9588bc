"""Plain calls: what the ways that make them one after the other, without frames, have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cascade.spec.lazy_types import (
    ConfiguredLazyResult,
    LazyResult,
    MappedLazyResult,
    ParamLazyResult,
    SequenceLazyResult,
)
from cascade.spec.policies import NO_POLICIES, Policies

TURN_SECONDS = 0.01
"""For how long inline calls may follow each other before the event loop gets its turn."""

Lazies = list[LazyResult[Any]]
"""The lazy results of one tree, in the order of its program."""

LAZY_TYPES = frozenset(
    {LazyResult, ConfiguredLazyResult, MappedLazyResult, ParamLazyResult, SequenceLazyResult}
)
"""The types of a value that stands for a tree to be run in its place."""


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
