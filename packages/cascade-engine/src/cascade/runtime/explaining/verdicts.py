"""Verdicts: what would become of a node if its workflow ran now, as data."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from cascade.graph.path import StructurePath
from cascade.runtime.events import SkipReason
from cascade.runtime.explaining.key_differences import KeyDifference
from cascade.spec.calls.error_text import error_name
from cascade.spec.late_dataclasses import dataclass


class Verdict(StrEnum):
    """What would become of a node if the workflow ran now.

    `HIT` and `MISS`: its value is in the cache, or is not. `EXISTS` and `MISSING`: its policy knows that without the
    cache, as `FileExists` does of a file. `UNCACHEABLE`: an argument can't be a part of a key. `NOT_CACHED`: it has no
    cache policy. `INPUT` and `GATHERED`: inputs, and what `gather`, routers and `lazy[key]` hand on, have their values
    at hand. `UNKNOWN`: another task has to run before it can be said. `SKIPPED`: it would be skipped. `FAILS`: the
    workflow's own code raises before the call, or a router has no route for its key.
    """

    HIT = "hit"
    MISS = "miss"
    EXISTS = "exists"
    MISSING = "missing"
    UNCACHEABLE = "uncacheable"
    NOT_CACHED = "not cached"
    INPUT = "input"
    GATHERED = "gathered"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Answer:
    """A verdict and the reasons for it. Times are in seconds of the cache's clock.

    `stored_at` and `expires_at` are those of the hit or, for a miss, of the entry that `differences` compares with;
    both are `None` if the cache has no entry of the task. For `UNCACHEABLE`, `argument` can't be in a key because it is
    of the type `kind`; for `FAILS`, `kind` is the type of the error; for `SKIPPED`, `reason` says why.
    """

    verdict: Verdict
    stored_at: float | None = None
    expires_at: float | None = None
    differences: tuple[KeyDifference, ...] = ()
    argument: str = ""
    kind: str = ""
    reason: SkipReason | None = None


class Before(NamedTuple):
    """A task that has to run first: the id of its node, and its name."""

    node: str
    task: str


@dataclass(frozen=True, slots=True)
class ItemCount:
    """How many items a map has, of how many the value is there, and the `first` index where it is not."""

    total: int
    hits: int
    first: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would become of one node: its id, the name of its task, its path in the tree, and the answer.

    The answer of a map is that of its first item without a value. `until` names tasks that have to run first, at most
    the first eight: for an `UNKNOWN` node before there is an answer, for any other before it is known whether the node
    is wanted at all, as it lies behind a condition or a router. Such a task may yet be skipped itself.
    """

    node: str
    task: str
    place: StructurePath
    answer: Answer
    until: tuple[Before, ...] = ()
    items: ItemCount | None = None

    @property
    def verdict(self) -> Verdict:
        """The verdict of the answer."""
        return self.answer.verdict


def failure(error: Exception) -> Answer:
    """Return the answer for a node that fails before its call. It has the type of the error only, no values."""
    return Answer(Verdict.FAILS, kind=error_name(error))
