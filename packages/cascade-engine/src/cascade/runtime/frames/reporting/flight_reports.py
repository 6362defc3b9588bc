"""Flight reports: what is told of coroutines, and of inline calls between them, soon after it has happened."""

from __future__ import annotations

from array import array
from collections.abc import Collection, Sequence
from typing import Any

from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.reporting.event_drafts import call_started, call_succeeded
from cascade.runtime.frames.reporting.flight_log import FlightLog, ItemLog
from cascade.runtime.frames.reporting.publishing import Publisher
from cascade.runtime.timeline.entries import FlightStretch, ItemFlightStretch
from cascade.runtime.timeline.views import Place, RunningCall


class FlightReports(Publisher):
    """Tells of calls that overlap: each began and ended at a time of its own."""

    def flight_begun(self, log: FlightLog) -> None:
        """Tell that calls of a tree begin that are coroutines, or inline calls between these."""
        if self._timeline is not None:
            serial, names = log.tree
            self._timeline.add_flight(
                serial,
                lambda: [
                    RunningCall(Place(serial, node), names[node], began) for node, began in log.under_way()
                ],
            )

    def flight_ended(self, log: FlightLog) -> None:
        """Tell that all calls of a flight have ended, or that each of them goes on by itself."""
        if self._timeline is not None:
            self._timeline.end_flight(log.tree.serial)

    def flight_went_on(self, log: FlightLog, values: Sequence[Any], left: Collection[int] = ()) -> None:
        """Tell what has happened in a flight, in order; what becomes of nodes that are `left` is told by others."""
        happened = log.take(left)
        serial, names = log.tree
        if self._timeline is not None:
            nodes = [~each for each in happened if each < 0]
            if nodes:
                began = array("d", map(log.began.__getitem__, nodes))
                ends = array("d", map(log.ended.__getitem__, nodes))
                self._timeline.add(FlightStretch(serial, nodes, names, began, ends))
        if self._hears_calls():
            self._tell_flight(log, happened, values)

    def items_begun(self, mapping: Job, log: ItemLog) -> None:
        """Tell that items of a map begin that are coroutines."""
        if self._timeline is not None:
            serial, node, name = mapping.frame.serial, mapping.position, mapping.name
            self._timeline.add_flight(
                (serial, node),
                lambda: [
                    RunningCall(Place(serial, node, index), name, began)
                    for index, began in list(log.began.items())
                ],
            )

    def items_ended(self, mapping: Job) -> None:
        """Tell that no item of a map is a coroutine any more that is told of with others."""
        if self._timeline is not None:
            self._timeline.end_flight((mapping.frame.serial, mapping.position))

    def items_went_on(self, mapping: Job, log: ItemLog, values: Sequence[Any] | None) -> None:
        """Tell which items of a map have begun and ended since the last time, in order."""
        happened, times = log.take()
        if self._timeline is not None and times:
            place = (mapping.frame.serial, mapping.position)
            self._timeline.add(ItemFlightStretch(place, mapping.name, [*times], [*times.values()]))
        if happened and self._hears_calls():
            task_id, name, run_id = mapping.task_id, mapping.name, self._run_id
            for each in happened:
                if each >= 0:
                    if self.bus.hears(TaskExecutionStarted):
                        self._publish(call_started(run_id, f"{task_id}[{each}]", name))
                elif self.bus.hears(TaskExecutionFinished):
                    began, ended = times[~each]
                    shown = None if values is None else self._shown(values[~each])
                    self._publish(call_succeeded(run_id, f"{task_id}[{~each}]", name, ended - began, shown))

    def _tell_flight(self, log: FlightLog, happened: list[int], values: Sequence[Any]) -> None:
        """Make the events of a flight, in order."""
        # Once per call of every flight with a listener: watched by observatory/benchmarks/bench_events.py.
        hears, publish, run_id, names = self.bus.hears, self._publish, self._run_id, log.tree.names
        suffix = f"@{log.tree.serial}" if log.tree.serial else ""
        for each in happened:
            if each >= 0:
                if hears(TaskExecutionStarted):
                    publish(call_started(run_id, f"n{each}{suffix}", names[each]))
            elif hears(TaskExecutionFinished):
                node = ~each
                seconds = log.ended[node] - log.began[node]
                shown = self._shown(values[node])
                publish(call_succeeded(run_id, f"n{node}{suffix}", names[node], seconds, shown))
