"""Run timelines: what a timeline knows of one run. The run writes it, and anybody may read it meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import chain

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.entries import Entry, OneCall, OneSkip, Rounds, RoundStretch, Times
from cascade.runtime.timeline.figures import FiguresOfTasks, TaskFigures
from cascade.runtime.timeline.views import (
    Call,
    LoopRounds,
    MapSize,
    Place,
    Retry,
    RunningCall,
    Skip,
    TreeView,
    WaitingCall,
)

RunningFacts = tuple[tuple[int, int, int | None], str, float]
"""The place of a call that is under way, its task, and when it began."""


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
        self.figures = FiguresOfTasks(is_timed)
        self._take_room = take_room
        self._has_room = is_timed
        # Lists that only grow, and dicts whose changes are single steps of the interpreter: no lock is needed to read.
        self._entries: list[Entry] = []
        self._trees: list[TreeView] = []
        self._retries: list[Retry] = []
        self._maps: dict[Place, MapSize] = {}
        self._rounds: dict[Place | None, int] = {}
        self._running: dict[object, RunningFacts] = {}
        self._waiting: dict[object, WaitingCall] = {}
        self._failed: OneCall | Retry | None = None
        self._flights: dict[object, Callable[[], list[RunningCall]]] = {}

    # What is read, in any thread

    def calls(self) -> Iterator[Call]:
        """Give the calls that have ended so far, in the order in which they were reported."""
        return chain.from_iterable(entry.calls() for entry in self._entries[:])

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
        return self.figures.snapshots([call.task for call in self.running()])

    def wall_time(self, moment: float) -> datetime:
        """Return the date and time of a moment of this run."""
        return self.began_at + timedelta(seconds=moment - self.began)

    # What a run writes, in its own thread

    def add(self, entry: Entry) -> None:
        """Take in calls that have ended, or a skip."""
        if self._has_room and self._take_room(entry.size):
            self.kept += entry.size
            self._entries.append(entry)
        else:
            self._has_room = False
            self.folded += entry.size
        self.figures.add(entry)

    def add_rounds(self, rounds: Rounds, began: float, ends: Times) -> None:
        """Take in rounds of a loop that followed each other."""
        self.figures.add_tree(rounds.names, len(rounds.ways), rounds.round + len(rounds.ways) > 1)
        self.add(RoundStretch(rounds, began, ends))
        self.note_round(rounds.call, rounds.round + len(rounds.ways) - 1)

    def add_call(self, entry: OneCall, owner: object) -> None:
        """Take in a call that was reported by itself and has ended."""
        self._running.pop(owner, None)
        if entry.has_failed:
            self._failed = entry
        self.add(entry)

    def add_skip(self, place: Place, task: str, reason: SkipReason) -> None:
        """Take in that a call is not made."""
        self.add(OneSkip(Skip(place, task, reason, time.monotonic())))

    def add_running(self, owner: object, facts: RunningFacts) -> None:
        """Take in that a call has begun that will be reported by itself, under the name of the same owner."""
        self._running[owner] = facts

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
        self.figures.add_retry(retry.task)
        self._failed = retry
        if self._has_room and self._take_room(1):
            self.kept += 1
            self._retries.append(retry)

    def add_map(self, mapping: MapSize) -> None:
        """Take in that a map begins."""
        self.figures.add_known(mapping.task, mapping.size - 1)  # its items stand for it
        if self._has_room:
            self._maps[mapping.place] = mapping

    def add_tree(self, tree: TreeView) -> None:
        """Take in that a tree begins."""
        self.figures.add_tree(tree.names, 1, tree.round > 0)
        if self._has_room:
            self._trees.append(tree)
            self.note_round(tree.call, tree.round)

    def note_round(self, call: Place | None, number: int) -> None:
        """Take in that a loop is in the round of this number; its first one is round 0."""
        if number and self._has_room:
            self._rounds[call] = number + 1

    def end(self, status: Status, error: str | None) -> None:
        """Take in that the run has ended."""
        for under_way in (self._running, self._flights, self._waiting):
            under_way.clear()
        self.status, self.error = status, error
        self.ended = time.monotonic()
