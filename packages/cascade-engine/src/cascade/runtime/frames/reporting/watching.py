"""Watching: what is noted of plain calls that follow each other, for whoever watches a run.

Watching does not change the way in which a run goes. A stretch of calls notes when each of them ended. After it, one
call of `Reports` fills the timeline and makes the events, in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from enum import Enum
from typing import Any, NamedTuple

from cascade.runtime.programs.plain_values import Awaited
from cascade.runtime.programs.timed_calls import Ends
from cascade.runtime.timeline.views import NodeNames


class Noting(Enum):
    """What the rounds of a watched loop note.

    `COUNTS`: how often each way through a round was taken, and how many items maps had. `WAYS`: the way that each
    round took. `TIMES`: also when each call ended. `VALUES`: also what it gave.
    """

    COUNTS = 0
    WAYS = 1
    TIMES = 2
    VALUES = 3


class WatchedTree(NamedTuple):
    """A tree as reports know it: its number in the run, and the names of its nodes by position."""

    serial: int
    names: NodeNames


class MadeCalls(NamedTuple):
    """Calls that were made one after another, each of which has returned.

    Each began when the one before it ended, the first at `began`. `ends` is `None` where nobody wants to know.
    `values` are there if a preview is to be shown. `awaited` are those, by their place among these, that gave an
    awaitable: they have begun, and end later.
    """

    size: int
    began: float
    ends: Ends | None
    values: Sequence[Any] | None = None
    awaited: Collection[int] = ()

    @property
    def ended(self) -> float:
        """When the last of them ended."""
        return self.ends[-1] if self.ends else self.began


class Given(NamedTuple):
    """What calls have given: the values from `first` on, as `given` returns them.

    From `lazy_from` on there may be values that stand for others.
    """

    values: Sequence[Any]
    first: int
    lazy_from: int


def made_calls(given: Given, began: float, ends: Ends | None, shows: bool = False) -> MadeCalls:
    """Return what was made by calls that have given these values."""
    # Once per stretch of all watched calls, and all values are mostly plain: none is looked at then.
    values, first, lazy_from = given
    size = len(values) - first
    if ends is not None:
        del ends[size:]  # an interrupt may have come between the end of a call and its value
    awaited: Collection[int] = ()
    begin = max(first, lazy_from)
    if begin < len(values) and Awaited in {*map(type, values[begin:])}:
        awaited = [place for place in range(begin - first, size) if type(values[first + place]) is Awaited]
    return MadeCalls(size, began, ends, values[first:] if shows else None, awaited)


class TreeWatch:
    """Watches the plain calls of one tree, in the order of its plan, from `begin` on.

    `ends` is what the calls note their ends in. `shows` says that their values are to be shown, so that they are to be
    reported before a value is forgotten.
    """

    __slots__ = ("_began", "_made", "_order", "_report", "ends", "shows", "tree")

    def __init__(
        self,
        tree: WatchedTree,
        order: Sequence[int],
        report: Callable[[WatchedTree, Sequence[int], MadeCalls], None],
        ends: Ends | None,
        shows: bool,
    ) -> None:
        self.tree = tree
        self.ends = ends
        self.shows = shows
        self._order = order
        self._report = report
        self._made = 0
        self._began = 0.0

    def begin(self, values: list[Any]) -> None:
        """Note that calls begin now, after those that have given `values`."""
        self._made = len(values)
        self._began = time.monotonic()

    def report(self, values: list[Any], *, may_be_lazy: bool = True) -> float:
        """Report the calls made since the last time, by the values of all so far; return when the last one ended.

        `may_be_lazy` says whether one of these may stand for another value.
        """
        begin, self._made = self._made, len(values)
        given = Given(values, begin, begin if may_be_lazy else len(values))
        made = made_calls(given, self._began, self.ends, self.shows)
        self._began = made.ended
        if made.size:
            self._report(self.tree, self._order[begin : self._made], made)
            if self.ends is not None:
                self.ends.clear()  # who keeps them has a copy
        return self._began
