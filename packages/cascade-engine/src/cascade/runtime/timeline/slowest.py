"""The slowest calls of a run, kept whether there is room for all calls or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import nlargest
from operator import itemgetter

from cascade.runtime.timeline.entries import Entry
from cascade.runtime.timeline.views import Call

KEPT = 10
"""So many are kept."""


class SlowestCalls:
    """Keeps the calls that took longest, the longest first."""

    __slots__ = ("calls",)

    def __init__(self) -> None:
        self.calls: tuple[Call, ...] = ()

    @property
    def floor(self) -> float:
        """A call that took no longer than this, in seconds, is none of them."""
        return self.calls[-1].duration if len(self.calls) == KEPT else 0.0

    def take(self, entries: Iterable[tuple[float, Entry]]) -> None:
        """Take in calls that have ended, each entry with the seconds of its longest call."""
        # The slowest calls are in the entries with the longest ones, so no more than these are looked into. A view of a
        # call takes long to make: one is made only of a call that is slow enough.
        for longest, entry in nlargest(KEPT, entries, key=itemgetter(0)):
            floor = self.floor
            if longest > floor:
                slow = _slower(entry, floor)
                self.calls = (*nlargest(KEPT, (*self.calls, *slow), key=lambda call: call.duration),)


def _slower(entry: Entry, floor: float) -> Iterator[Call]:
    """Give the calls of an entry that took longer than this, and at most as many as are kept."""
    columns = entry.columns()
    if columns is None:
        yield from (call for call in entry.calls() if call.duration > floor and not call.is_map)
        return
    lengths = columns.lengths()
    slow = [index for index, length in enumerate(lengths) if length > floor]  # few, but at the beginning
    yield from map(columns.call, nlargest(KEPT, slow, key=lengths.__getitem__))
