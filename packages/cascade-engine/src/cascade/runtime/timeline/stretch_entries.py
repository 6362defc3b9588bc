"""Stretches: entries of calls that were made one after another, of a tree, of a map, or in rounds of a loop."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, repeat
from operator import itemgetter, sub
from typing import NamedTuple, TypeAlias

from cascade.graph.tree import Structure
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.sharing.time_slice import SLICE_SECONDS
from cascade.runtime.timeline.entries import Columns, Entry, SkipSum, Sums, one_or_all, sums_of
from cascade.runtime.timeline.views import Call, NodeNames, Place, Skip, TreeView

Times: TypeAlias = "array[float]"
"""When each of some calls ended; nothing is in it where no times are kept."""


class StretchTimes(NamedTuple):
    """When a stretch of calls began, when each call ended (nothing where no times are kept), and when the last did."""

    began: float
    ends: Times
    ended: float


class Step(NamedTuple):
    """What a round of a loop does with one node: it is called, or skipped for a reason."""

    node: int
    skipped: SkipReason | None


class Stretch(Entry):
    """Calls each of which began when the one before it ended: the first one at `began`, and the last one at `ended`.

    Without `ends` nobody took the time of each call. They have followed each other for one time slice at most, but for
    the last one. So each is taken to be as long as the others, and what is beyond a slice was the last one's.
    """

    __slots__ = ("began", "ended", "ends")

    def __init__(self, size: int, times: StretchTimes) -> None:
        super().__init__(size)
        self.began, self.ends, self.ended = times

    def places(self) -> Iterator[Place]:
        """Give where each call stands."""
        raise NotImplementedError

    def tasks(self) -> Iterator[str]:
        """Give the name of each call's task."""
        raise NotImplementedError

    def last(self) -> tuple[Place, str]:
        """Return where the last call stands, and the name of its task."""
        raise NotImplementedError

    def counted(self) -> Mapping[str, int]:
        """Return how many calls of each task there are."""
        return Counter(self.tasks())

    @property
    def overrun(self) -> float:
        """The seconds that the last call took beyond a time slice."""
        return 0.0 if self.ends else max(0.0, self.ended - self.began - SLICE_SECONDS)

    def calls(self) -> Iterator[Call]:
        began = queued = self.began
        if self.ends:
            for place, task, ended in zip(self.places(), self.tasks(), self.ends, strict=False):
                yield Call(place, task, 1, queued, began, ended, Status.SUCCEEDED)
                began = ended
        elif overrun := self.overrun:
            yield Call(*self.last(), 1, queued, self.ended - overrun, self.ended, Status.SUCCEEDED)

    def longest(self) -> float:
        return max(map(sub, self.ends, chain((self.began,), self.ends))) if self.ends else self.overrun

    def sums(self) -> Iterator[Sums]:
        if self.ends:
            yield from sums_of([*self.tasks()], [*map(sub, self.ends, chain((self.began,), self.ends))])
            return
        counted = self.counted()
        calls = sum(counted.values())
        if not calls:
            return
        overrun, (_, last) = self.overrun, self.last()
        each = (self.ended - self.began - overrun) / calls
        for task, own in counted.items():
            if not own:
                continue
            yield Sums(task, Status.SUCCEEDED, own, estimate=each * own + (overrun if task == last else 0.0))


class NodeStretch(Stretch):
    """Calls of one tree."""

    __slots__ = ("_names", "_nodes", "_tree")

    def __init__(self, tree: int, names: NodeNames, nodes: Sequence[int], times: StretchTimes) -> None:
        super().__init__(len(nodes), times)
        self._tree = tree
        self._names = names
        self._nodes = nodes

    def places(self) -> Iterator[Place]:
        return map(Place, repeat(self._tree), self._nodes)

    def tasks(self) -> Iterator[str]:
        return map(self._names.__getitem__, self._nodes)

    def last(self) -> tuple[Place, str]:
        return Place(self._tree, self._nodes[-1]), self._names[self._nodes[-1]]

    def columns(self) -> Columns | None:
        if not self.ends:
            return None
        return Columns(self._tree, self._nodes, None, one_or_all(self.tasks()), self.began, self.ends)

    def counted(self) -> Mapping[str, int]:
        counts = self._names.counts
        if len(counts) == 1:
            return dict.fromkeys(counts, self.size)
        if len(self._names) == self.size:
            return counts
        # A part of a large tree, between two turns of the event loop: as many calls as a slice has time for.
        picked = itemgetter(*self._nodes)(self._names) if self.size > 1 else (*self.tasks(),)
        return {name: picked.count(name) for name in counts} if len(counts) <= _FEW_NAMES else Counter(picked)


_FEW_NAMES = 4
"""Of so few names, those of calls are counted faster name by name."""


class ItemStretch(Stretch):
    """Items of one map, from an index on."""

    __slots__ = ("_first", "_task")

    def __init__(self, first: Place, task: str, size: int, times: StretchTimes) -> None:
        super().__init__(size, times)
        self._first = first
        self._task = task

    def places(self) -> Iterator[Place]:
        tree, node, item = self._first
        return map(Place, repeat(tree), repeat(node), range(item or 0, (item or 0) + self.size))

    def tasks(self) -> Iterator[str]:
        return repeat(self._task, self.size)

    def last(self) -> tuple[Place, str]:
        tree, node, item = self._first
        return Place(tree, node, (item or 0) + self.size - 1), self._task

    def columns(self) -> Columns | None:
        if not self.ends:
            return None
        tree, node, item = self._first
        return Columns(tree, node, item or 0, self._task, self.began, self.ends)

    def counted(self) -> Mapping[str, int]:
        return {self._task: self.size}


class Rounds(NamedTuple):
    """Rounds of one loop whose trees have one structure: they stand in the place of `call`.

    `first` is the number of the first round's tree, and `round` its number in the loop. `taken` has, for each round,
    which of the `ways` it took: the steps of that round.
    """

    call: Place | None
    first: int
    round: int
    structure: Structure
    names: NodeNames
    ways: Sequence[Sequence[Step]]
    taken: Sequence[int]

    @property
    def times(self) -> Mapping[int, int]:
        """How often each way was taken."""
        return {0: len(self.taken)} if len(self.ways) == 1 else Counter(self.taken)


class RoundStretch(Stretch):
    """The calls of rounds that followed each other.

    `items` has how many items the maps at some nodes have had together. It is empty where times are kept: rounds with
    maps are not reported together then.
    """

    __slots__ = ("_items", "_often", "_rounds")

    def __init__(self, rounds: Rounds, times: StretchTimes, items: Mapping[int, int]) -> None:
        self._often = rounds.times
        super().__init__(sum(len(rounds.ways[way]) * often for way, often in self._often.items()), times)
        self._rounds = rounds
        self._items = items

    def _steps(self) -> Iterator[tuple[int, Step]]:
        ways = self._rounds.ways
        for tree, way in enumerate(self._rounds.taken, self._rounds.first):
            for step in ways[way]:
                yield tree, step

    def places(self) -> Iterator[Place]:
        return (Place(tree, step.node) for tree, step in self._steps() if step.skipped is None)

    def tasks(self) -> Iterator[str]:
        names = self._rounds.names
        return (names[step.node] for _, step in self._steps() if step.skipped is None)

    def last(self) -> tuple[Place, str]:
        rounds = self._rounds
        made = [step.node for step in rounds.ways[rounds.taken[-1]] if step.skipped is None]
        return Place(rounds.first + len(rounds.taken) - 1, made[-1]), rounds.names[made[-1]]

    def columns(self) -> Columns | None:
        if not self.ends:
            return None
        made = [(tree, step.node) for tree, step in self._steps() if step.skipped is None]
        trees, nodes = zip(*made, strict=True)
        return Columns(trees, nodes, None, one_or_all(self.tasks()), self.began, self.ends)

    def counted(self) -> Mapping[str, int]:
        names, counted = self._rounds.names, Counter[str]()
        for way, times in self._often.items():
            for step in self._rounds.ways[way]:
                if step.skipped is None and step.node not in self._items:  # the items of a map stand for it
                    counted[names[step.node]] += times
        for node, items in self._items.items():
            counted[names[node]] += items
        return counted

    def beyond_nodes(self) -> Iterator[tuple[str, int]]:
        """Give the tasks of maps, and how many more items they have had than calls that they stand for."""
        ways = self._rounds.ways
        for node, items in self._items.items():
            made = Step(node, None)
            yield (
                self._rounds.names[node],
                items - sum(often for way, often in self._often.items() if made in ways[way]),
            )

    def skips(self) -> Iterator[Skip]:
        names, ends, at = self._rounds.names, iter(self.ends), self.began
        for tree, step in self._steps():
            if step.skipped is None:
                at = next(ends, at)
            else:
                yield Skip(Place(tree, step.node), names[step.node], step.skipped, at)

    def skip_sums(self) -> Iterator[SkipSum]:
        names = self._rounds.names
        for way, times in self._often.items():
            for step in self._rounds.ways[way]:
                if step.skipped is not None:
                    yield SkipSum(names[step.node], step.skipped, times)

    def trees(self) -> Iterator[TreeView]:
        rounds = self._rounds
        for index in range(len(rounds.taken)):
            yield TreeView(
                rounds.first + index, rounds.call, rounds.round + index, rounds.structure, rounds.names
            )
