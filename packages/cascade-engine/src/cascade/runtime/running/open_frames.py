"""Frames: the trees of one run that are being run; how one is opened, told of, and closed when its target settles."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.adapters.state.keys import FrameKey
from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.runtime.events import RunStarted, SkipReason
from cascade.runtime.frames.frame import Frame
from cascade.runtime.frames.jobs import ItemJob, Job
from cascade.runtime.programs.program import Program
from cascade.runtime.running.admission import check_inputs, check_structure
from cascade.runtime.running.flights import Flight
from cascade.runtime.running.loops import TailCallLoop
from cascade.runtime.running.missing_inputs import missing_error
from cascade.runtime.running.recorded_calls import Stretch
from cascade.runtime.sharing.capacity import CONCURRENCY
from cascade.runtime.strategies import Prepared
from cascade.spec.lazy_types import LazyResult

if TYPE_CHECKING:
    from cascade.graph.tree import Choice
    from cascade.runtime.recording.recorder import Recorder
    from cascade.runtime.running.run import Run


class Frames:
    """The open frames and flights of one run, by the number of their tree; which of them have ended or landed."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.open: dict[int, Frame] = {}
        self.finished: deque[Frame] = deque()
        self.flights: dict[int, Flight] = {}
        self.landed: deque[Flight] = deque()
        self.announced = False
        self._tells_state = type(run.state) is not InMemoryStateBackend  # nobody looks into the built-in one
        self._made = 0

    def may_announce_later(self, program: Program) -> bool:
        """Tell whether it is all the same when it is told that the run begins: nobody hears it, no input is there."""
        options = self._run.options
        if program.needs_check or options.params or options.spec is not None:
            return False
        return not self._run.bus.hears(RunStarted)

    def announce(self, target: LazyResult[Any], lazies: list[LazyResult[Any]]) -> None:
        """Check the inputs against the first structure, and tell that the run begins; once in a run.

        Raises:
            CascadeError: If an input is unknown, missing or of another type.
        """
        if not self.announced:
            check_inputs(
                lazies,
                self._run.options.spec,
                self._run.options.params,
                self._run.engine.registry.contracts(),
            )
            self._report_start(target)

    def _report_start(self, target: LazyResult[Any]) -> None:
        self.announced = True
        self._run.reports.run_started(target, self._run.options.params)

    def check(self, prepared: Prepared, atomic: str = "") -> None:
        """Check that a structure can be run, before its first node; all of it depends on the resource `atomic`.

        Raises:
            CascadeError: If it can't.
        """
        program, lazies = prepared.program, prepared.lazies
        if not self.announced:
            declaring = [lazies[position] for position in program.params]
            check_inputs(
                declaring,
                self._run.options.spec,
                self._run.options.params,
                self._run.engine.registry.contracts(),
            )
        check_structure(self._run.engine, program, lazies, self._run.options.params)
        if self._run.recording is not None:
            self._run.recording.check_loops(prepared, atomic)
        if not self.announced:
            self._report_start(lazies[program.target])

    def next_serial(self) -> int:
        """Return the number of a tree that begins to run; trees are numbered as they come."""
        self._made += 1
        return self._made - 1

    def open_frame(
        self,
        loop: TailCallLoop,
        key: FrameKey,
        prepared: Prepared,
        values: dict[int, Any],
        under_way: Collection[int],
    ) -> Frame:
        """Demand the value of a prepared tree, some of whose nodes may have values or be under way already."""
        serial = self.next_serial() if prepared.serial is None else prepared.serial
        frame = Frame(key, serial, loop, prepared.program, prepared.lazies, self._run.state)
        self.open[serial] = frame
        if self._run.recording is not None:
            self._open_recorded(self._run.recording, frame, prepared)
            return frame
        if isinstance(self._run.state, InMemoryStateBackend) and not self._tells_state:
            frame.free_values(self._run.state.let_go)
        for node, value in values.items():
            self._run.state.put_result(frame.node_key(node), value)
        frame.begin(values, under_way)
        self.absorb(frame)
        return frame

    def _open_recorded(self, recording: Recorder, frame: Frame, prepared: Prepared) -> None:
        """Open a frame with what is recorded of it."""
        settled = recording.resumption.restore(frame.key, prepared, frame.loop.recovered)
        for node, reason in settled.items():
            self._run.reports.skipped(Job(frame, node), reason)
        frame.atomic_dependencies = recording.dependencies_of(frame, settled)
        frame.routed = partial(self._note_route, recording, frame)
        if prepared.inline and not frame.loop.recovered and self._calls_stretches():
            frame.stretch = Stretch(self._run, recording, frame)
        frame.begin(settled, ())
        self.absorb(frame)

    def _calls_stretches(self) -> bool:
        """Tell whether inline calls may be made directly, but for what is recorded of them."""
        return not self._run.heard and CONCURRENCY not in self._run.engine.capacity.totals

    def settle_stretch(self, frame: Frame, nodes: list[int]) -> None:
        """Take in that the values of these nodes are committed."""
        frame.settle_all(nodes)
        self.absorb(frame)

    def _note_route(
        self, recording: Recorder, frame: Frame, node: int, choice: Choice, route: int | None
    ) -> None:
        recording.keep_route(Job(frame, node), choice, route)

    def close_frame(self, frame: Frame, last: bool) -> None:
        """Report what was left out of a frame, and forget its facts.

        Those of a recorded run's last one stay, and those that a run which goes on after a failure begins with.
        """
        for node, reason in frame.left_out():
            self.skip(frame, node, reason)
        del self.open[frame.serial]
        frame.let_go_of_parts()
        if self._run.recording is None or not last or (frame.loop.job is not None and self._settles(frame)):
            dependencies = frame.atomic_dependencies
            self.forget(frame.key, "" if dependencies is None else dependencies.of(frame.program.target))

    def forget(self, key: FrameKey, atomic: str) -> None:
        """Forget a frame's facts; in the store once what takes their place is final, if that depends on a resource."""
        if atomic and self._run.recording is not None:
            self._run.recording.state.clear(key, provisional=True)
        else:
            self._run.state.clear(key)

    def skip(self, frame: Frame, node: int, reason: SkipReason) -> None:
        """Tell of a node that is never called; the state backend, if it is not the built-in one, is told too."""
        if self._tells_state:
            self._run.state.mark_skipped(frame.node_key(node), reason)
        self._run.reports.skipped(Job(frame, node), reason)

    def _settles(self, frame: Frame) -> bool:
        """Tell whether what became of a frame's target is what becomes of its place, and no failure."""
        target = frame.program.target
        if frame.flow.has_value(target):
            return True
        reason = self._run.state.get_skip_reason(frame.node_key(target))
        return not isinstance(frame.loop.job, ItemJob) and reason not in (None, SkipReason.UPSTREAM_FAILED)

    def absorb(self, frame: Frame) -> None:
        """Take over what the last steps of a frame brought about."""
        for node, reason in frame.skipped:
            self._run.reports.skipped(Job(frame, node), reason)
            if (
                self._run.recording is not None and reason is not SkipReason.UPSTREAM_FAILED
            ):  # that may change
                self._run.recording.keep_skip(Job(frame, node), reason)
        frame.skipped.clear()
        for node in frame.ready:
            if frame.stretch is not None:
                frame.stretch.add(node)
                continue
            self._run.starter.queue(frame.serial, frame.program.rank[node], Job(frame, node))
        frame.ready.clear()
        if frame.finished:
            self.finished.append(frame)

    def end_frame(self, frame: Frame) -> None:
        """The target of a frame has settled: its value is that of the loop's place."""
        loop, target = frame.loop, frame.program.target
        if loop.job is not None and frame.atomic_dependencies is not None and self._run.recording is not None:
            self._run.recording.note_atomic(loop.job, frame.atomic_dependencies.of(target))
        has_value = frame.flow.has_value(target)
        value = frame.flow.value(target) if has_value else None
        reason = None if has_value else self._run.state.get_skip_reason(frame.node_key(target))
        error = missing_error(frame, SkipReason(reason)) if reason and loop.job is None else None
        loop.close(last=True)
        if has_value:
            self._run.settler.settle_loop(loop, value)
        elif loop.job is not None:
            self._run.settler.settle_skipped_place(loop.job, reason)
        else:
            self._run.ended = True
            if error is not None and not self._run.settler.failures:
                self._run.error = error

    def queue_loop(self, loop: TailCallLoop) -> None:
        """Let a loop go on in its turn, after what is ready now."""
        self._run.starter.queue(self._made, -1, loop)

    def begin_flight(self, flight: Flight) -> None:
        """Let a flight start its first calls in its turn."""
        self.flights[flight.serial] = flight
        self._run.starter.queue(flight.serial, 0, flight)

    def note_landing(self, flight: Flight) -> None:
        """Note that coroutines of a flight have ended; told once until it has looked at them."""
        self.landed.append(flight)
        self._run.wake_up()

    def forget_flight(self, flight: Flight) -> None:
        """Note that a flight has ended, or that a frame goes on in its place."""
        del self.flights[flight.serial]
