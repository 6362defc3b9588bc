"""Open frames: the trees of one run that have frames; how a frame is opened, reported and closed."""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.adapters.state.keys import FrameKey
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.tree import Choice
from cascade.runtime.events import SkipReason
from cascade.runtime.frames.frame import Frame, Job, Loop
from cascade.runtime.frames.map_runs import ItemJob
from cascade.runtime.running.services import Services
from cascade.runtime.sharing.placement import MadeHere
from cascade.runtime.strategies import BoundPlan

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


class OpenFrames:
    """The frames of one run that are in progress, by the number of their tree.

    What changed in a frame is passed on from here: ready nodes go into the queue, skipped ones to the reports and the
    record, and a frame whose target has settled into the inbox.
    """

    __slots__ = (
        "_calls_here",
        "_handles",
        "_inbox",
        "_is_watched",
        "_made",
        "_placement",
        "_ready",
        "_recording",
        "_reports",
        "_state",
        "_tracing",
        "by_serial",
    )

    def __init__(self, services: Services) -> None:
        self._calls_here = services.placement.is_local
        self._handles = services.handles
        self._inbox = services.inbox
        self._is_watched = services.is_watched
        self._placement = services.placement
        self._ready = services.ready
        self._recording = services.recording
        self._reports = services.reports
        self._state = services.state
        self._tracing = services.tracing
        self._made = 0
        self.by_serial: dict[int, Frame] = {}

    def next_serial(self, trees: int = 1) -> int:
        """Return the number of a tree that begins to run, or the first of several; they are numbered as they come."""
        self._made += trees
        return self._made - trees

    def queue_loop(self, loop: Loop) -> None:
        """Queue a loop: its next rounds run after all that is ready now."""
        self._ready.push(self._made, -1, loop)

    def open(
        self, loop: Loop, prepared: BoundPlan, values: dict[int, Any], under_way: Collection[int]
    ) -> Frame:
        """Demand the value of a prepared tree, some of whose nodes may have values or be under way already."""
        serial = prepared.serial
        if serial is None:
            serial = self.next_serial()
            self._reports.tree_begun(loop, serial, prepared.program, prepared.lazies)
        # The built-in state would be asked by nobody but the frame.
        state = self._state if self._is_watched else None
        frame = Frame(loop, serial, prepared.program, prepared.lazies, state)
        loop.frame = self.by_serial[serial] = frame
        if self._handles is not None:
            frame.whereabouts = self._handles.whereabouts(loop, frame.program, frame.lazies)
        if self._recording is not None:
            self._open_recorded(self._recording, frame, prepared)
            return frame
        if self._calls_here:
            frame.made_here = self._made_here(frame, prepared)
        if state is None:
            frame.free_values()
        for node, value in values.items():
            frame.flow.put(node, value)
        frame.begin(values, under_way, is_whole=True)
        self.absorb(frame)
        return frame

    def _made_here(self, frame: Frame, prepared: BoundPlan) -> bytes:
        """Return which calls of a tree the run makes by itself, by position; asked once for a structure."""
        program, lazies = prepared.program, prepared.lazies
        if not program.made_here:
            structure, is_made_here = program.structure, self._placement.made_here
            if isinstance(structure, PlainStructure):
                pairs = zip(structure.samples, structure.forms, strict=True)
                kinds = [is_made_here(lazies[sample], bool(form.resources)) for sample, form in pairs]
                program.made_here = bytes(map(kinds.__getitem__, structure.kinds))
            else:
                program.made_here = bytes(map(is_made_here, lazies, map(bool, program.resources)))
        made_here = program.made_here
        if frame.whereabouts is not None and frame.whereabouts.handed_on:
            handed_on = frame.whereabouts.handed_on
            made_here = bytes(
                MadeHere.NO if node in handed_on else here for node, here in enumerate(made_here)
            )
        tracing = self._tracing
        if tracing is None or not tracing.spans_calls:
            return made_here
        # A call with a span is made by itself.
        pairs_here = zip(made_here, lazies, strict=True)
        return bytes(MadeHere.NO if tracing.has_span(lazy) else here for here, lazy in pairs_here)

    def _open_recorded(self, recording: Recorder, frame: Frame, prepared: BoundPlan) -> None:
        """Open a frame with what is recorded of it."""
        settled = recording.resumption.restore(frame.key, prepared, frame.loop.recovered)
        if frame.whereabouts is not None and frame.loop.recovered:
            recording.resumption.leave_values(
                frame.node_key(node) for node in settled if node not in frame.whereabouts.looked_at
            )
        for node, reason in settled.items():
            self._reports.skipped(Job(frame, node), reason)
        frame.atomic_dependencies = recording.dependencies_of(frame, settled)
        frame.routed = partial(_note_route, recording, frame)
        if self._calls_here and not frame.loop.recovered:
            # What else they need is asked for where a call is recorded by itself.
            frame.made_here = self._made_here(frame, prepared).translate(_PLAIN_ALONE)
        frame.begin(settled, ())
        self.absorb(frame)

    def settle_all(self, frame: Frame, nodes: list[int]) -> None:
        """Take in that the values of these nodes are committed."""
        frame.settle_all(nodes)
        self.absorb(frame)

    def close(self, loop: Loop, last: bool = False) -> None:
        """Report what was left out of a loop's frame, and forget its facts; `last` if no other frame follows.

        Those of a recorded run's last one stay, and those that a run which goes on after a failure begins with.
        """
        frame, loop.frame = loop.frame, None
        if frame is None:
            return
        for node, reason in frame.left_out():
            self.skip(frame, node, reason)
        del self.by_serial[frame.serial]
        if self._recording is None or not last or (loop.job is not None and self._settles(frame)):
            self.forget(
                frame.key,
                ""
                if frame.atomic_dependencies is None
                else frame.atomic_dependencies.of(frame.program.target),
            )
        frame.let_go_of_parts()

    def forget(self, key: FrameKey, atomic: str) -> None:
        """Forget a frame's facts; in the store once what takes their place is final, if that depends on a resource."""
        if atomic and self._recording is not None:
            self._recording.state.clear(key, provisional=True)
        else:
            self._state.clear(key)

    def skip(self, frame: Frame, node: int, reason: SkipReason) -> None:
        """Report a node that is never called. A state backend that is not the built-in one notes it too."""
        if self._is_watched:
            frame.flow.skip(node, reason)
        self._reports.skipped(Job(frame, node), reason)

    def _settles(self, frame: Frame) -> bool:
        """Tell whether what became of a frame's target is what becomes of its place, and no failure."""
        target = frame.program.target
        if frame.flow.has_value(target):
            return True
        reason = frame.flow.skip_reason(target)
        return not isinstance(frame.loop.job, ItemJob) and reason not in (None, SkipReason.UPSTREAM_FAILED)

    def absorb(self, frame: Frame) -> None:
        """Pass on what changed in a frame: its ready nodes, its skipped ones, and that it has finished."""
        for node, reason in frame.skipped:
            self._reports.skipped(Job(frame, node), reason)
            # What was skipped for a failure is decided anew by a run that goes on.
            if self._recording is not None and reason is not SkipReason.UPSTREAM_FAILED:
                self._recording.keep_skip(Job(frame, node), reason)
        frame.skipped.clear()
        if frame.ready:
            self._queue_ready(frame)
        self.queue_calls(frame)
        if frame.finished:
            self._inbox.finished.append(frame)

    def _queue_ready(self, frame: Frame) -> None:
        """Let ready nodes have their turn: calls that the run makes by itself together, each other one alone."""
        if frame.sent_ahead:
            frame.ready = [node for node in frame.ready if node not in frame.sent_ahead]
        rank, made_here = frame.program.rank, frame.made_here
        if made_here and not frame.has_broken:
            here = [rank[node] for node in frame.ready if made_here[node]]
            if here:
                frame.ready_calls.add(here)
            others = (
                [node for node in frame.ready if not made_here[node]] if len(here) < len(frame.ready) else []
            )
        else:
            others = frame.ready.copy()
        frame.ready.clear()
        now = time.monotonic() if others and self._reports.keeps_times else 0.0
        for node in others:
            self.queue_job(frame, node, now)

    def queue_job(self, frame: Frame, node: int, now: float) -> None:
        """Let a node have its turn that is called by itself; it is ready since `now`, if that is known."""
        job = Job(frame, node)
        job.queued = now
        self._ready.push(frame.serial, frame.program.rank[node], job)

    def queue_again(self, job: Job) -> None:
        """Let a call have its turn again, unless its frame was closed meanwhile."""
        frame = job.frame
        if self.by_serial.get(frame.serial) is frame:
            self._ready.push(frame.serial, frame.program.rank[job.position], job)

    def take_back(self, frame: Frame, node: int) -> None:
        """Let a call that was sent ahead, and has not begun, have its turn as any other."""
        frame.sent_ahead.discard(node)
        if frame.is_ready(node):
            self.queue_job(frame, node, time.monotonic() if self._reports.keeps_times else 0.0)

    def requeue_calls(self, frame: Frame) -> None:
        """Let those that are left have their turn again, now that none of them is made any more."""
        frame.ready_calls.queued_at = None
        self.queue_calls(frame)

    def queue_calls(self, frame: Frame) -> None:
        """Let the calls of a frame that the run makes by itself have their turn, if there are any."""
        calls = frame.ready_calls
        if calls.ranks and (calls.queued_at is None or calls.ranks[0] < calls.queued_at):
            calls.queued_at = calls.ranks[0]
            self._ready.push(frame.serial, calls.queued_at, frame)


_PLAIN_ALONE = bytes(kind == MadeHere.PLAIN for kind in range(256))
"""What a recorded run makes by itself of what any run does."""


def _note_route(recording: Recorder, frame: Frame, node: int, choice: Choice, route: int | None) -> None:
    recording.keep_route(Job(frame, node), choice, route)
