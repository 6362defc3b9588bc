"""Verdicts: what would become of a node if its workflow ran now, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from cascade.graph.path import StructurePath
from cascade.runtime.events import SkipReason
from cascade.runtime.explaining.key_differences import KeyDifference


class Verdict(StrEnum):
    """What would become of a node if the workflow ran now.

    `EXISTS` and `MISSING`: its policy knows the value without the cache, as `FileExists` does of a file that is there,
    or knows that it is not there. `UNCACHEABLE`: an argument can't be part of a key. `INPUT` and `GATHERED` are the
    nodes of inputs and of `gather`, of routers and of items: their values are always at hand. `UNKNOWN`: a task has to
    run first. `FAILS`: code of the workflow's own raises before the call, a key without a route for one.
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
    """A verdict and what it rests on. Times are in seconds of the cache's clock.

    `stored_at` and `expires_at` are those of the hit or, for a miss, of the entry that `differences` compares with; no
    entry means that the task has never been seen. `argument` can't be in a key because it is of type `kind`; `kind` is
    the error's where the verdict is `FAILS`. `reason` is that of a skip.
    """

    verdict: Verdict
    stored_at: float | None = None
    expires_at: float | None = None
    differences: tuple[KeyDifference, ...] = ()
    argument: str = ""
    kind: str = ""
    reason: SkipReason | None = None


class Before(NamedTuple):
    """A task that has to run before something can be known: its node and its name."""

    node: str
    task: str


@dataclass(frozen=True, slots=True)
class ItemCount:
    """How many items a map has, and of how many the value is there; `first` is the first index where it is not."""

    total: int
    hits: int
    first: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What would become of one node, by its id, its task's name and its place.

    The answer of a map is that of its first item without a value. `until` names tasks that have to run first, the
    first ones if there are many: of an `UNKNOWN` node before there is an answer, of any other before it is known
    whether the node is wanted at all, being behind a condition or a router. A task that has to run may yet be skipped
    where what it waits for is.
    """

    node: str
    task: str
    place: StructurePath
    answer: Answer
    until: tuple[Before, ...] = ()
    items: ItemCount | None = None

    @property
    def verdict(self) -> Verdict:
        """The answer in a word."""
        return self.answer.verdict


def failure(error: Exception) -> Answer:
    """Return the answer for a node that fails before its call; of the error only the kind is told, not the values."""
    return Answer(Verdict.FAILS, kind=type(error).__name__)
