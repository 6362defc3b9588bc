"""Stretch reports: what is told of calls that were made one after another, once all of them have been made."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count, repeat
from typing import Any

from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted, TaskSkipped
from cascade.runtime.frames.frame import Job, Loop
from cascade.runtime.frames.reporting.event_drafts import call_started, call_succeeded
from cascade.runtime.frames.reporting.flight_reports import FlightReports
from cascade.runtime.frames.reporting.watching import MadeCalls, Noting, TreeWatch, WatchedTree
from cascade.runtime.programs.program import Program
from cascade.runtime.programs.timed_calls import Ends
from cascade.runtime.timeline.run_timeline import FEW
from cascade.runtime.timeline.stretch_entries import ItemStretch, Rounds, StretchTimes
from cascade.runtime.timeline.views import Place, TreeView
from cascade.spec.lazy_types import LazyResult


class StretchReports(FlightReports):
    """Tells of plain calls that were made one after another: of a tree, of a map, or in rounds of a loop."""

    @property
    def noting(self) -> Noting:
        """What rounds of a loop are to note."""
        if self.shows:
            return Noting.VALUES
        if self.new_ends() is not None:
            return Noting.TIMES
        return Noting.WAYS if self._hears_calls() or self.bus.hears(TaskSkipped) else Noting.COUNTS

    def new_ends(self) -> Ends | None:
        """Return a list for the ends of calls to be noted in; `None` if nobody wants to know them."""
        return [] if self.keeps_times or self.bus.hears(TaskExecutionFinished) else None

    def tree_begun(
        self, loop: Loop, serial: int, program: Program, lazies: Sequence[LazyResult[Any]]
    ) -> WatchedTree:
        """Tell that a tree begins, which is the round of a loop; return what is known of it."""
        names = program.names(lazies)
        if self._timeline is not None:
            call = None if loop.job is None else loop.job.place
            self._timeline.add_tree(TreeView(serial, call, loop.round, program.structure, names))
        return WatchedTree(serial, names)

    def watch(self, tree: WatchedTree, order: Sequence[int]) -> TreeWatch:
        """Return what watches the plain calls of a tree."""
        return TreeWatch(tree, order, self.calls_made, self.new_ends(), self.shows)

    def calls_made(self, tree: WatchedTree, nodes: Sequence[int], made: MadeCalls) -> None:
        """Tell of calls of one tree that were made one after another; keeps neither the ends nor the values."""
        serial, names = tree
        if self._timeline is not None:
            if made.awaited:
                for begin, end, times in _returned(made):
                    self._timeline.add_nodes(tree, nodes[begin:end], times)
            elif made.ends and made.size < FEW:
                self._timeline.add_few(tree, nodes, made.began, made.ends)
            else:
                times = StretchTimes(made.began, array("d", made.ends or ()), _ended(made))
                self._timeline.add_nodes(tree, nodes, times)
        if self._hears_calls():
            suffix = f"@{serial}" if serial else ""
            self._tell_all(("n", suffix), zip(nodes, map(names.__getitem__, nodes), strict=True), made)

    def items_made(self, mapping: Job, first: int, made: MadeCalls) -> None:
        """Tell of items of a map, from an index on, that were called one after another; keeps as little."""
        tree, node, _ = mapping.place
        if self._timeline is not None:
            for begin, end, times in _returned(made):
                place = Place(tree, node, first + begin)
                self._timeline.add(ItemStretch(place, mapping.name, end - begin, times))
        if self._hears_calls():
            self._tell_all((f"{mapping.task_id}[", "]"), zip(count(first), repeat(mapping.name)), made)

    def map_made(self, tree: WatchedTree, node: int, size: int) -> None:
        """Tell of a map in one tree, all of whose items have returned; only numbers are told."""
        if self._timeline is not None:
            now, place = time.monotonic(), Place(tree.serial, node, 0)
            self._timeline.add_items(
                ItemStretch(place, tree.names[node], size, StretchTimes(now, array("d"), now))
            )

    def rounds_made(self, rounds: Rounds, made: MadeCalls, items: Mapping[int, int]) -> None:
        """Tell of rounds of a loop that followed each other, all of whose calls have returned; keeps as little.

        `items` has how many items the maps at some nodes have had together, where only numbers are to be told.
        """
        if self._timeline is not None:
            times = StretchTimes(made.began, array("d", made.ends or ()), _ended(made))
            self._timeline.add_rounds(rounds, times, items)
        hears = self.bus.hears
        if hears(TaskSkipped) or self._hears_calls():
            self._tell_rounds(rounds, made)

    def _tell_rounds(self, rounds: Rounds, made: MadeCalls) -> None:
        """Make the events of rounds, in order."""
        # Once per round of every loop with a listener: watched by observatory/benchmarks/bench_events.py.
        hears, publish, run_id, names = self.bus.hears, self._publish, self._run_id, rounds.names
        tells_starts, tells_ends, tells_skips = map(
            hears, (TaskExecutionStarted, TaskExecutionFinished, TaskSkipped)
        )
        began = made.began
        ends = iter(made.ends or repeat(began, made.size))
        values = None if made.values is None else iter(made.values)
        for tree, way in enumerate(rounds.taken, rounds.first):
            for node, skipped in rounds.ways[way]:
                task_id = f"n{node}@{tree}" if tree else f"n{node}"
                if skipped is not None:
                    if tells_skips:
                        publish(TaskSkipped(run_id, task_id, names[node], skipped))
                    continue
                ended = next(ends)
                if tells_starts:
                    publish(call_started(run_id, task_id, names[node]))
                if tells_ends:
                    shown = None if values is None else self._shown(next(values))
                    publish(call_succeeded(run_id, task_id, names[node], ended - began, shown))
                began = ended

    def _tell_all(self, around: tuple[str, str], calls: Iterable[tuple[int, str]], made: MadeCalls) -> None:
        """Make the events of calls in order, given what stands around the number in their ids, numbers and names."""
        # Once per call of every run with a listener: watched by observatory/benchmarks/bench_events.py.
        # Who subscribes meanwhile hears what comes after these calls.
        tells_starts, tells_ends = self.bus.hears(TaskExecutionStarted), self.bus.hears(TaskExecutionFinished)
        deliver, run_id, began = self.bus.deliver, self._run_id, made.began
        values = repeat(None) if made.values is None else made.values
        ends = repeat(began) if made.ends is None else made.ends
        shows, awaited = made.values is not None, made.awaited
        before, behind = around
        for place, (number, name), ended, value in zip(range(made.size), calls, ends, values):  # noqa: B905 - endless
            task_id = f"{before}{number}{behind}"
            if tells_starts and (interrupt := deliver(call_started(run_id, task_id, name))) is not None:
                self._interrupt(interrupt)
            if tells_ends and place not in awaited:
                shown = self._shown(value) if shows else None
                event = call_succeeded(run_id, task_id, name, ended - began, shown)
                if (interrupt := deliver(event)) is not None:
                    self._interrupt(interrupt)
            began = ended


def _began(made: MadeCalls, place: int) -> float:
    """Return when a call began, by its place among those that were made."""
    return made.ends[place - 1] if made.ends and place else made.began


def _ended(made: MadeCalls) -> float:
    """Return when the last of some calls ended, also where nobody noted when each of them did."""
    return made.ended if made.ends else time.monotonic()


def _returned(made: MadeCalls) -> Iterator[tuple[int, int, StretchTimes]]:
    """Give the stretches between calls that are still awaited: their first and last place, and their times."""
    begin, last = 0, _ended(made)
    for end in (*sorted(made.awaited), made.size):
        if begin < end:
            ends = array("d", (made.ends or ())[begin:end])
            ended = ends[-1] if ends else last if end == made.size else made.began
            yield begin, end, StretchTimes(_began(made, begin), ends, ended)
        begin = end + 1
