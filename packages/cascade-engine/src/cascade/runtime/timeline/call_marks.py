"""Marks: what became of the calls of one tree, for a picture of its graph.

A call may return a lazy result, whose tree runs in its place, and that tree's target may return another one. So the
call has ended when the last of these trees has, and as that did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from cascade.graph.drawing.sketches import Mark
from cascade.graph.drawing.sketches import Status as Shown
from cascade.graph.tree_views import node_id
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.ended_calls import EndedCalls
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Place, TreeView


def marks_of(run: RunTimeline, ended: EndedCalls, number: int = 0) -> dict[str, Mark]:
    """Return what became of the calls of the tree of this number, by node id. Takes O(calls + trees)."""
    marks = {
        node_id(each.place.node): Mark(Shown.RUNNING) for each in run.running() if _is_in(each.place, number)
    }
    for skip in run.skips():
        if _is_in(skip.place, number):
            marks[node_id(skip.place.node)] = Mark(_shown_skip(skip.reason))
    ends = _Ends(run, ended)
    for place, call in ends.calls.items():
        if place.tree == number:
            marks[node_id(place.node)] = ends.mark(call)
    return marks


def _is_in(place: Place, number: int) -> bool:
    return place.tree == number and place.item is None


def _shown_skip(reason: SkipReason) -> Shown:
    return Shown.CACHED if reason in (SkipReason.CACHE_HIT, SkipReason.RECOVERED) else Shown.SKIPPED


class _Ends:
    """How the calls of a run ended, those of maps' items left out, and which trees they returned."""

    def __init__(self, run: RunTimeline, ended: EndedCalls) -> None:
        self._status = run.status
        self.calls = ended.by_place
        self._skips = {skip.place: skip.reason for skip in run.skips()}
        self._of_tree: dict[int, list[Call]] = defaultdict(list)
        for call in self.calls.values():
            self._of_tree[call.place.tree].append(call)
        self._trees = {tree.number: tree for tree in ended.trees}
        self._last: dict[Place | None, TreeView] = {}  # the last round in the place of a call
        self._below: dict[int, list[int]] = defaultdict(list)  # trees that calls of a tree returned
        for tree in self._trees.values():
            self._last[tree.call] = tree
            if tree.call is not None:
                self._below[tree.call.tree].append(tree.number)

    def mark(self, call: Call) -> Mark:
        """Return what became of a call and of what it returned."""
        returned = self._returned(call.place)
        if returned is None or call.status is not Status.SUCCEEDED:
            return Mark(_SHOWN[call.status], call.duration)
        target = Place(returned.number, returned.structure.target)
        last = self.calls.get(target)
        if last is not None:
            return Mark(_SHOWN[last.status], last.ended - call.began)
        if target in self._skips and self._skips[target] is not SkipReason.UPSTREAM_FAILED:
            return Mark(_shown_skip(self._skips[target]))
        return self._unfinished(call, returned)

    def _returned(self, place: Place) -> TreeView | None:
        """Return the last tree that ran in the place of a call, if one did."""
        own = self._trees.get(place.tree)
        # What the target of a tree returns is the next round of the loop that the tree is a round of.
        is_round = own is not None and own.structure.target == place.node
        found = self._last.get(own.call if is_round and own is not None else place)
        return None if found is own else found

    def _unfinished(self, call: Call, returned: TreeView) -> Mark:
        """Return what became of a call if the tree that it returned did not come to its target."""
        inside = [*self._inside(returned.number)]
        seconds = max((each.ended for each in inside), default=call.ended) - call.began
        if any(each.status is Status.FAILED for each in inside):
            return Mark(Shown.FAILED, seconds)
        if self._status is None:
            return Mark(Shown.RUNNING)
        # Without room for all calls, the last ones are not known.
        return Mark(Shown.SUCCEEDED if self._status is Status.SUCCEEDED else Shown.CANCELLED, seconds)

    def _inside(self, number: int) -> Iterator[Call]:
        """Give the calls of a tree and of all that these returned."""
        pending = [number]
        for each in pending:  # grows while it is read
            yield from self._of_tree[each]
            pending += self._below[each]


_SHOWN = {
    Status.SUCCEEDED: Shown.SUCCEEDED,
    Status.FAILED: Shown.FAILED,
    Status.CANCELLED: Shown.CANCELLED,
}
