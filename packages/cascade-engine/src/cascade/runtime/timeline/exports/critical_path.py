"""The critical path: the calls that the length of a run hangs on.

It is followed from the end: from a call to the one that it has waited for last, and into the tree that a call has
returned, since that stood in its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from cascade.runtime.timeline.ended_calls import EndedCalls
from cascade.runtime.timeline.views import Call, Place, TreeView


def critical_path(ended: EndedCalls) -> list[Call]:
    """Return the calls on the critical path, the first one first; a map is followed by its item that ended last.

    A timeline that keeps figures alone has none. Takes O(calls + edges).
    """
    return _Path(ended).follow()


class _Path:
    """What is looked up on the way."""

    def __init__(self, ended: EndedCalls) -> None:
        self._ends, self._last_item = ended.by_place, ended.last_items
        # By place, the tree of the last round there; and by tree, that of the round before it.
        self._returned: dict[Place | None, TreeView] = {}
        self._before: dict[int, TreeView] = {}
        self._trees: dict[int, TreeView] = {}
        self._waits: dict[int, Sequence[Sequence[int]]] = {}  # by the id of the structure
        for tree in ended.trees:
            self._trees[tree.number] = tree
            if tree.call in self._returned:
                self._before[tree.number] = self._returned[tree.call]
            self._returned[tree.call] = tree

    def follow(self) -> list[Call]:
        """Return the calls that are met from the run's own target on."""
        found: dict[Place, Call] = {}
        pending = self._into(None)
        while pending:
            place = pending.pop()
            call, item = self._ends.get(place), self._last_item.get(place)
            for each in (call, item):
                if each is not None and each.place not in found:
                    found[each.place] = each
                    pending += self._into(each.place)
            pending += self._waited_for(place)
        return sorted(found.values(), key=lambda each: each.began)

    def _into(self, place: Place | None) -> list[Place]:
        """Return the target of the tree that was returned at a place, if one was."""
        tree = self._returned.get(place)
        return [] if tree is None else [Place(tree.number, tree.structure.target)]

    def _waited_for(self, place: Place) -> list[Place]:
        """Return what a call has waited for last; for one that waited for nothing, the target of the round before."""
        tree = self._trees.get(place.tree)
        if tree is None:
            return []
        structure = tree.structure
        if id(structure) not in self._waits:
            self._waits[id(structure)] = structure.dependencies()
        sources = (Place(place.tree, source) for source in self._waits[id(structure)][place.node])
        known = [each for each in sources if each in self._ends or each in self._last_item]
        if known:
            return [
                max(
                    known,
                    key=lambda each: max(self._end_of(each, self._ends), self._end_of(each, self._last_item)),
                )
            ]
        before = self._before.get(place.tree)
        return [] if before is None else [Place(before.number, before.structure.target)]

    def _end(self, place: Place) -> float:
        return max(self._end_of(place, self._ends), self._end_of(place, self._last_item))

    @staticmethod
    def _end_of(place: Place, among: dict[Place, Call]) -> float:
        return among[place].ended if place in among else 0.0
