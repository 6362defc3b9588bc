"""Run timelines: what a timeline knows of one run. The run writes it, and anybody may read it meanwhile."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.entries import Entry, FlightStretch, OneCall, OneSkip
from cascade.runtime.timeline.figures import Figures, FiguresOfTasks, TaskFigures
from cascade.runtime.timeline.stretch_entries import (
    ItemStretch,
    NodeStretch,
    Rounds,
    RoundStretch,
    StretchTimes,
)
from cascade.runtime.timeline.unsaved import Unsaved
from cascade.runtime.timeline.views import (
    Call,
    LoopRounds,
    MapSize,
    NodeNames,
    Place,
    Retry,
    RunningCall,
    Skip,
    TreeView,
    WaitingCall,
)

RunningFacts = tuple[tuple[int, int, int | None], str, float]
"""The place of a call that is under way, its task, and when it began."""


FEW = 8
"""Fewer calls in one stretch, as between two commits of a chain, are kept in one entry with those that follow."""
MOST_JOINED = 1024
"""So many calls are in such an entry."""


class RunTimeline:
    """One run: its calls, trees and skips in the order in which they were reported, and figures of its tasks.

    Everything may be read in any thread while the run goes on. `began` and `ended` are in seconds of `time.monotonic`,
    as all times are; `began_at` is the date and time of `began`. `ended` and `status` are `None` until the run has
    ended. `folded` is how many calls and skips only the figures know, as there is no room for them.
    """

    def __init__(self, run_id: str, began: float, is_timed: bool, take_room: Callable[[int], bool]) -> None:
        self.run_id = run_id
        self.inputs: tuple[str, ...] = ()
        self.is_timed = is_timed
        self.began = began
        self.began_at = datetime.now(UTC) - timedelta(seconds=time.monotonic() - began)
        self.ended: float | None = None
        self.status: Status | None = None
        self.error: str | None = None
        self.folded = 0
        self.kept = 0
        self.unsaved: Unsaved | None = None  # of a run that is recorded: what its store does not have yet
        self._figures = FiguresOfTasks(is_timed)
        self._take_room = take_room
        self._has_room = is_timed
        self._lock = threading.Lock()
        self._joined: _Joined | None = None
        # Lists that only grow, and dicts whose changes are single steps of the interpreter: no lock is needed to read.
        self._entries: list[Entry] = []
        self._trees: list[TreeView] = []
        self._retries: list[Retry] = []
        self._maps: dict[Place, MapSize] = {}
        self._rounds: dict[Place | None, int] = {}
        self._running: dict[object, RunningFacts] = {}
        self._open_maps: set[object] = set()  # owners of calls that stand for maps
        self._waiting: dict[object, WaitingCall] = {}
        self._failed: OneCall | Retry | None = None
        self._flights: dict[object, Callable[[], list[RunningCall]]] = {}

    # What is read, in any thread

    def calls(self) -> Iterator[Call]:
        """Give the calls that have ended so far, in the order in which they were reported."""
        self._settle()
        return chain.from_iterable(entry.calls() for entry in self._entries[:])

    @property
    def figures(self) -> FiguresOfTasks:
        """The figures of its tasks."""
        self._settle()
        return self._figures

    def skips(self) -> Iterator[Skip]:
        """Give the calls that were not made, and why."""
        return chain.from_iterable(entry.skips() for entry in self._entries[:])

    def trees(self) -> Iterator[TreeView]:
        """Give the trees that were run, by their numbers."""
        others = chain.from_iterable(entry.trees() for entry in self._entries[:])
        return iter(sorted(chain(self._trees[:], others), key=lambda tree: tree.number))

    def retries(self) -> list[Retry]:
        """Return the attempts that failed and were followed by others."""
        return self._retries[:]

    def maps(self) -> list[MapSize]:
        """Return the maps that have begun, and how many items they have."""
        return list(self._maps.values())

    def loops(self) -> list[LoopRounds]:
        """Return the loops that had more than one round, and how many."""
        return [LoopRounds(*each) for each in list(self._rounds.items())]

    def running(self) -> list[RunningCall]:
        """Return the calls that are under way, those in the middle of a stretch of plain calls left out."""
        flights = chain.from_iterable(flight() for flight in list(self._flights.values()))
        one_by_one = [
            RunningCall(Place(*place), task, began) for place, task, began in list(self._running.values())
        ]
        return [*one_by_one, *flights]

    def waiting(self) -> list[WaitingCall]:
        """Return the calls that wait for something that others have, and for what."""
        return list(self._waiting.values())

    def last_failure(self) -> Call | Retry | None:
        """Return the call, or the attempt, that has failed last."""
        failed = self._failed
        return next(failed.calls()) if isinstance(failed, OneCall) else failed

    def slowest(self) -> tuple[Call, ...]:
        """Return the calls that took longest, the longest first, whether all calls are kept or not."""
        return self.figures.slowest()

    def tasks(self) -> dict[str, TaskFigures]:
        """Return the figures of all tasks by their names, of all calls whether they are kept or not."""
        maps = self._open_maps
        one_by_one = [task for owner, (_, task, _) in list(self._running.items()) if owner not in maps]
        in_flight = [call.task for flight in list(self._flights.values()) for call in flight()]
        return self.figures.snapshots([*one_by_one, *in_flight])

    def wall_time(self, moment: float) -> datetime:
        """Return the date and time of a moment of this run."""
        return self.began_at + timedelta(seconds=moment - self.began)

    def begin_saving(self, is_alone: bool) -> None:
        """Gather from now on what the store of the run is to have; it has times, whether this timeline does or not.

        `is_alone` says that nobody else reads this timeline: what the store does not keep is not looked for.
        """
        self.unsaved = Unsaved()
        if is_alone or not self.is_timed:
            self._figures = FiguresOfTasks(timed=True, keeps_slowest=not is_alone)

    def replace_figures(self, figures: Mapping[str, Figures]) -> None:
        """Replace the figures by those that a store has, by the names of their tasks."""
        self._figures = FiguresOfTasks(self.is_timed)
        self.add_figures(figures)

    def add_figures(self, figures: Mapping[str, Figures]) -> None:
        """Take in figures of calls that nothing else is known of, by the names of their tasks."""
        self._figures.load(figures)

    @property
    def has_trees(self) -> bool:
        """Whether it has trees."""
        return next(self.trees(), None) is not None

    # What a run writes, in its own thread

    def add(self, entry: Entry) -> None:
        """Take in calls that have ended, or a skip."""
        with self._lock:  # who reads may add those that were joined
            if self._joined is not None:
                self._add_joined()
            self._add(entry)

    def _add(self, entry: Entry) -> None:
        size, unsaved = entry.size, self.unsaved
        if self._has_room and self._take_room(size):
            self.kept += size
            self._entries.append(entry)
        else:
            self._has_room = False
            self.folded += size
        if unsaved is not None:
            unsaved.entries.append(entry)
            unsaved.size += size
        self._figures.add(entry)

    def add_nodes(self, tree: tuple[int, NodeNames], nodes: Sequence[int], times: StretchTimes) -> None:
        """Take in calls of one tree that followed each other, by its number and names."""
        # Once per step of a recorded chain: watched by observatory/benchmarks/bench_durability.py.
        if len(nodes) >= FEW or not times.ends:
            self.add(NodeStretch(*tree, nodes, times))
        else:
            self.add_few(tree, nodes, times.began, times.ends)

    def add_few(
        self, tree: tuple[int, NodeNames], nodes: Sequence[int], began: float, ends: Sequence[float]
    ) -> None:
        """Take in so few of such calls that an entry of their own would cost more than they do."""
        with self._lock:
            joined = self._joined
            if joined is None or joined.tree != tree[0] or len(joined.nodes) > MOST_JOINED:
                self._add_joined()
                joined = self._joined = _Joined(*tree)
            joined.nodes += nodes
            joined.began.append(began)
            if len(ends) > 1:
                joined.began += ends[:-1]
            joined.ends += ends

    def _settle(self) -> None:
        """Take in the calls that were joined."""
        if self._joined is not None:
            with self._lock:
                self._add_joined()

    def _add_joined(self) -> None:
        joined, self._joined = self._joined, None
        if joined is not None:
            began, ends = array("d", joined.began), array("d", joined.ends)
            self._add(FlightStretch(joined.tree, joined.nodes, joined.names, began, ends))

    def add_rounds(self, rounds: Rounds, times: StretchTimes, items: Mapping[int, int]) -> None:
        """Take in rounds of a loop that followed each other, and how many items the maps at its nodes have had."""
        count = len(rounds.taken)
        self._figures.add_tree(rounds.names, count, rounds.round + count > 1)
        made = RoundStretch(rounds, times, items)
        for task, more in made.beyond_nodes():
            self._figures.add_known(task, more)
        self.add(made)
        self.note_round(rounds.call, rounds.round + count - 1)

    def add_items(self, items: ItemStretch) -> None:
        """Take in all items of a map, which stand for it."""
        self._figures.add_known(items.last()[1], items.size - 1)
        self.add(items)

    def add_call(self, entry: OneCall, owner: object) -> None:
        """Take in a call that was reported by itself and has ended."""
        self._running.pop(owner, None)
        self._open_maps.discard(owner)
        if entry.has_failed:
            self._failed = entry
        self.add(entry)

    def add_skip(self, place: Place, task: str, reason: SkipReason) -> None:
        """Take in that a call is not made."""
        self.add(OneSkip(Skip(place, task, reason, time.monotonic())))

    def add_running(self, owner: object, facts: RunningFacts) -> None:
        """Take in that a call has begun that will be reported by itself, under the name of the same owner."""
        self._running[owner] = facts

    def take_running(self, owner: object) -> RunningFacts | None:
        """Return what was told of a call when it began, which has ended now; `None` if nothing was."""
        return self._running.pop(owner, None)

    def add_flight(self, owner: object, running: Callable[[], list[RunningCall]]) -> None:
        """Take in what tells, in any thread, which calls of a tree or a map are under way."""
        self._flights[owner] = running

    def end_flight(self, owner: object) -> None:
        """Take in that the calls of a tree or a map have ended, or that others tell of them from now on."""
        self._flights.pop(owner, None)

    def add_waiting(self, owner: object, call: WaitingCall) -> None:
        """Take in that a call waits, under the name of the same owner."""
        self._waiting[owner] = call

    def end_waiting(self, owner: object) -> None:
        """Take in that a call waits no more, if it did."""
        self._waiting.pop(owner, None)

    def add_retry(self, retry: Retry) -> None:
        """Take in that an attempt has failed, and another one follows."""
        self._figures.add_retry(retry.task)
        self._failed = retry
        if self.unsaved is not None:
            self.unsaved.retries.append(retry)
        if self._has_room and self._take_room(1):
            self.kept += 1
            self._retries.append(retry)

    def add_map(self, mapping: MapSize, owner: object) -> None:
        """Take in that a map begins, which its items stand for from now on."""
        self._open_maps.add(owner)
        self._figures.add_known(mapping.task, mapping.size - 1)
        if self.unsaved is not None:
            self.unsaved.maps.append(mapping)
        if self._has_room:
            self._maps[mapping.place] = mapping

    def add_tree(self, tree: TreeView) -> None:
        """Take in that a tree begins."""
        self._figures.add_tree(tree.names, 1, tree.round > 0)
        if self.unsaved is not None:
            self.unsaved.trees.append(tree)
        if self._has_room:
            self._trees.append(tree)
        self.note_round(tree.call, tree.round)

    def note_round(self, call: Place | None, number: int) -> None:
        """Take in that a loop is in the round of this number; its first one is round 0."""
        if number and self._has_room:
            self._rounds[call] = number + 1
        if number and self.unsaved is not None:
            self.unsaved.rounds[call] = number + 1

    @property
    def outcome(self) -> str:
        """How the run has ended, in a word; `under way` until then."""
        return "under way" if self.status is None else self.status.value

    def end(self, status: Status, error: str | None) -> None:
        """Take in that the run has ended."""
        self._settle()
        for under_way in (self._running, self._flights, self._waiting, self._open_maps):
            under_way.clear()
        self.status, self.error = status, error
        self.ended = time.monotonic()


class _Joined:
    """Calls of one tree that came a few at a time."""

    __slots__ = ("began", "ends", "names", "nodes", "tree")

    def __init__(self, tree: int, names: Sequence[str]) -> None:
        self.tree = tree
        self.names = names
        self.nodes: list[int] = []
        self.began: list[float] = []
        self.ends: list[float] = []
