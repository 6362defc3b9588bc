"""Ended calls: those of one run, gone through once, as whoever makes a report or a picture of it looks them up."""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter

from cascade.runtime.events import Status
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Place, TreeView

MOST_CALLS = 100_000
"""Of more calls only those that took longest are listed, and those that did not succeed."""


class EndedCalls:
    """The calls of a run that have ended, and its trees. Takes O(calls + trees).

    Attributes:
        by_place: Those that are no items of a map, by place.
        last_items: The item of each map that ended last, by the place of the map.
        failed: Those that failed, in the order in which they were reported.
        size: How many there are, calls that stand for a map left out.
    """

    def __init__(self, run: RunTimeline) -> None:
        self._run = run
        self.by_place: dict[Place, Call] = {}
        self.last_items: dict[Place, Call] = {}
        self.failed: list[Call] = []
        self.size = 0
        self._others: list[Call] = []  # that did not succeed
        self._longest: list[
            tuple[float, int, Call]
        ] = []  # seconds, number and call: the number decides for equals
        self._take_in()

    def _take_in(self) -> None:
        # Once per call of reports that may have a million: views of items are let go of at once, if they are short.
        longest, least = self._longest, 0.0
        tree = node = -1
        whole, last = Place(-1, -1), 0.0
        size = 0
        for call in self._run.calls():
            place, _, _, _, began, ended, status, _, _, is_map, *_ = call
            if place[2] is None:
                self.by_place[place] = call
                if is_map:
                    continue
            elif place[0] != tree or place[1] != node:
                tree, node, _ = place
                whole = Place(tree, node)
                known = self.last_items.get(whole)
                last = 0.0 if known is None else known.ended
            size += 1
            if place[2] is not None and ended > last:
                self.last_items[whole], last = call, ended
            if status is not Status.SUCCEEDED:
                self._others.append(call)
                if status is Status.FAILED:
                    self.failed.append(call)
            elif ended - began >= least:
                longest.append((ended - began, size, call))
                if len(longest) == 2 * MOST_CALLS:
                    longest.sort(key=itemgetter(0), reverse=True)
                    del longest[MOST_CALLS:]
                    least = longest[-1][0]
        self.size = size

    @cached_property
    def trees(self) -> list[TreeView]:
        """The trees of the run, by their numbers."""
        return [*self._run.trees()]

    def listed(self) -> list[Call]:
        """Return those that a list has room for, by their beginning: at most `MOST_CALLS`."""
        others = self._others
        if len(others) > MOST_CALLS:
            others = sorted(others, key=lambda call: call.duration, reverse=True)[:MOST_CALLS]
        self._longest.sort(key=itemgetter(0), reverse=True)
        room = MOST_CALLS - len(others)
        found = [*others, *(call for _, _, call in self._longest[:room])]
        return sorted(found, key=lambda call: call.began)
