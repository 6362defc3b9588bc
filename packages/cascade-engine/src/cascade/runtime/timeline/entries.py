"""Entries: what runs write into a timeline, one for each stretch of calls that were made one after another.

An entry holds numbers in arrays, and the structure and the names of its tree by reference. Views of its calls are made
when somebody reads them.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import sub
from typing import NamedTuple, TypeVar

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.sharing.placement import LOOP_WORKER
from cascade.runtime.timeline.views import Call, Place, Skip, TreeView


class Sums(NamedTuple):
    """What some calls of one task add to its figures: how many they are, and the seconds of each.

    Where calls that followed each other had no times taken, `estimate` is how many seconds they took together.
    """

    task: str
    status: Status
    calls: int
    seconds: Sequence[float] = ()
    estimate: float = 0.0


class SkipSum(NamedTuple):
    """How many calls of one task were skipped for one reason."""

    task: str
    reason: SkipReason
    calls: int


class Columns(NamedTuple):
    """Calls that have succeeded at the first attempt, as columns; a number or a text stands for all of them.

    Items that are one number are counted from it on. Calls with one `began` followed each other: the first began then.
    Without `queued` they were queued when they began, or when the first of them did.
    """

    tree: int | Sequence[int]
    node: int | Sequence[int]
    item: int | Sequence[int] | None
    task: str | Sequence[str]
    began: float | Sequence[float]
    ends: Sequence[float]
    queued: Sequence[float] | None = None
    worker: str | Sequence[str] = LOOP_WORKER

    def lengths(self) -> list[float]:
        """Return how many seconds each call took."""
        began = chain((self.began,), self.ends) if isinstance(self.began, float) else self.began
        return [*map(sub, self.ends, began)]

    def call(self, index: int) -> Call:
        """Return a view of the call in this row."""
        item = self.item + index if isinstance(self.item, int) else _row(self.item, index)
        place = Place(_row(self.tree, index), _row(self.node, index), item)
        if isinstance(self.began, float):  # each began when the one before it ended
            began, queued = self.ends[index - 1] if index else self.began, self.began
        else:
            began = queued = self.began[index]
        if self.queued is not None:
            queued = self.queued[index]
        task, worker = _text(self.task, index), _text(self.worker, index)
        return Call(place, task, 1, queued, began, self.ends[index], Status.SUCCEEDED, worker)


T = TypeVar("T", int, None)


def _row(column: T | Sequence[int], index: int) -> T | int:
    return column[index] if isinstance(column, Sequence) else column


def _text(column: str | Sequence[str], index: int) -> str:
    return column if isinstance(column, str) else column[index]


class Entry:
    """Some calls of one run that have ended; `size` is how many."""

    __slots__ = ("size",)

    def __init__(self, size: int) -> None:
        self.size = size

    def calls(self) -> Iterator[Call]:
        """Give a view of each; nothing where no times are kept."""
        raise NotImplementedError

    def columns(self) -> Columns | None:
        """Return the calls as columns, `None` where they differ too much or no times are kept."""
        return None

    def sums(self) -> Iterator[Sums]:
        """Give what they add to the figures of their tasks."""
        raise NotImplementedError

    def longest(self) -> float:
        """Return the seconds of the longest call, as far as that is known."""
        return max((max(sums.seconds, default=0.0) for sums in self.sums()), default=0.0)

    def skips(self) -> Iterator[Skip]:
        """Give the calls among them that were not made."""
        return iter(())

    def skip_sums(self) -> Iterator[SkipSum]:
        """Give how many were not made."""
        return (SkipSum(skip.task, skip.reason, 1) for skip in self.skips())

    def trees(self) -> Iterator[TreeView]:
        """Give the trees that nothing else tells of."""
        return iter(())


CallFacts = tuple[str, int, float, float, float, Status, str, str | None, bool, tuple[str, ...]]
"""What a `Call` has besides its place and its failure."""
Failure = tuple[str, str]
"""The type of an error, and where the call stands."""


class OneCall(Entry):
    """A call that was reported by itself."""

    # Made once per call in an asyncio task: a view takes longer to make, and few of them are ever read.

    __slots__ = ("facts", "failure", "place")

    def __init__(
        self, place: tuple[int, int, int | None], facts: CallFacts, failure: Failure | None = None
    ) -> None:
        self.size = 1
        self.place = place
        self.facts = facts
        self.failure = failure

    @property
    def is_plain(self) -> bool:
        """Whether it has succeeded at the first attempt."""
        return self.facts[5] is Status.SUCCEEDED and self.facts[1] == 1 and not self.facts[8]

    @property
    def has_failed(self) -> bool:
        """Whether it raised an error of its own."""
        return self.facts[5] is Status.FAILED

    def calls(self) -> Iterator[Call]:
        yield Call(Place(*self.place), *self.facts, *(self.failure or ()))

    def sums(self) -> Iterator[Sums]:
        task, _, _, began, ended, status, _, _, is_map, _ = self.facts
        if not is_map:  # its items tell more
            yield Sums(task, status, 1, (ended - began,))


def columns_of(entries: Sequence[OneCall]) -> Columns:
    """Return plain calls as columns; all or none of them are items."""
    # Once for many calls, each of which would take longer as a view.
    tasks, _, queued, began, ends, _, workers, *_ = zip(*[entry.facts for entry in entries], strict=True)
    trees, nodes, items = zip(*[entry.place for entry in entries], strict=True)
    are_items = items[0] is not None
    return Columns(
        trees,
        nodes,
        items if are_items else None,
        one_or_all(tasks),
        began,
        ends,
        queued,
        one_or_all(workers),
    )


class OneSkip(Entry):
    """A call that was not made."""

    __slots__ = ("skip",)

    def __init__(self, skip: Skip) -> None:
        super().__init__(1)
        self.skip = skip

    def calls(self) -> Iterator[Call]:
        return iter(())

    def sums(self) -> Iterator[Sums]:
        return iter(())

    def skips(self) -> Iterator[Skip]:
        yield self.skip


class FlightStretch(Entry):
    """Calls of one tree, coroutines among them, in the order in which they ended; each has times of its own."""

    __slots__ = ("_began", "_ends", "_names", "_nodes", "_tree")

    def __init__(
        self,
        tree: int,
        nodes: Sequence[int],
        names: Sequence[str],
        began: Sequence[float],
        ends: Sequence[float],
    ) -> None:
        super().__init__(len(nodes))
        self._tree = tree
        self._nodes = nodes
        self._names = names
        self._began = began
        self._ends = ends

    def calls(self) -> Iterator[Call]:
        for node, began, ended in zip(self._nodes, self._began, self._ends, strict=True):
            yield Call(Place(self._tree, node), self._names[node], 1, began, began, ended, Status.SUCCEEDED)

    def columns(self) -> Columns | None:
        tasks = one_or_all(map(self._names.__getitem__, self._nodes))
        return Columns(self._tree, self._nodes, None, tasks, self._began, self._ends)

    def sums(self) -> Iterator[Sums]:
        return sums_of([self._names[node] for node in self._nodes], [*map(sub, self._ends, self._began)])


class ItemFlightStretch(Entry):
    """Items of one map that are coroutines, in the order in which they ended."""

    __slots__ = ("_items", "_map", "_task", "_times")

    def __init__(
        self, mapping: tuple[int, int], task: str, items: Sequence[int], times: Sequence[tuple[float, float]]
    ) -> None:
        super().__init__(len(items))
        self._map = mapping
        self._task = task
        self._items = array("q", items)
        self._times = array("d", chain.from_iterable(times))

    def calls(self) -> Iterator[Call]:
        for item, began, ended in zip(self._items, self._times[::2], self._times[1::2], strict=True):
            place = Place(*self._map, item)
            yield Call(place, self._task, 1, began, began, ended, Status.SUCCEEDED)

    def columns(self) -> Columns | None:
        return Columns(*self._map, self._items, self._task, self._times[::2], self._times[1::2])

    def sums(self) -> Iterator[Sums]:
        seconds = [*map(sub, self._times[1::2], self._times[::2])]
        yield Sums(self._task, Status.SUCCEEDED, self.size, seconds)


def one_or_all(tasks: Iterable[str]) -> str | Sequence[str]:
    """Return the name that all of some calls have, or the names of all of them."""
    names = [*tasks]
    return names[0] if names.count(names[0]) == len(names) else names  # most stretches are of one task


def sums_of(tasks: list[str], seconds: list[float]) -> Iterator[Sums]:
    """Give what calls of these tasks add to their figures, given how long each took; or nothing of that."""
    if not tasks:
        return
    if tasks.count(tasks[0]) == len(tasks):  # most stretches are of one task, and counting is fast
        yield Sums(tasks[0], Status.SUCCEEDED, len(tasks), seconds)
        return
    by_task: dict[str, list[float]] = {task: [] for task in tasks}
    for task, each in zip(tasks, seconds, strict=False):
        by_task[task].append(each)
    for task, own in by_task.items():
        yield Sums(task, Status.SUCCEEDED, len(own) if seconds else tasks.count(task), own)
