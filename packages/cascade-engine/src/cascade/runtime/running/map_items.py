"""The maps of one run: each item in its turn, and what the items have given when all are done."""

from __future__ import annotations

import time
from collections.abc import Iterable

from cascade.runtime.events import SkipReason
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.map_runs import ItemJob, MapRun
from cascade.runtime.frames.outcomes import Failed, Returned
from cascade.runtime.frames.watching import made_calls
from cascade.runtime.programs.items import CalledItems
from cascade.runtime.programs.plain_values import take_given
from cascade.runtime.running.making_calls.calling import Calling
from cascade.runtime.running.open_frames import OpenFrames
from cascade.runtime.running.services import Services


class MapItems:
    """The maps that have begun and not ended."""

    __slots__ = (
        "_calling",
        "_ending",
        "_frames",
        "_open",
        "_ready",
        "_recording",
        "_reports",
        "_state",
        "_time_slice",
    )

    def __init__(self, services: Services, calling: Calling, frames: OpenFrames) -> None:
        self._calling = calling
        self._ending = services.ending
        self._frames = frames
        self._ready = services.ready
        self._recording = services.recording
        self._reports = services.reports
        self._state = services.state
        self._time_slice = services.time_slice
        self._open: dict[int, MapRun] = {}  # by id

    def unfinished(self) -> Iterable[MapRun]:
        """Return the maps that have not ended."""
        return self._open.values()

    def is_open(self, mapping: MapRun) -> bool:
        """Tell whether a map has not ended."""
        return id(mapping) in self._open

    def begin(self, job: Job) -> MapRun:
        """Begin a map that is ready: its inputs are known now.

        Raises:
            Exception: If its inputs are none; iterating over them is the user's own code.
        """
        if self._recording is None:
            mapping = MapRun(job)
        else:
            mapping = MapRun(job, in_order=self._recording.in_order)
            self._recover(mapping)
        self.add(mapping)
        return mapping

    def add(self, mapping: MapRun) -> None:
        """Note that a map has begun."""
        self._open[id(mapping)] = mapping

    def end(self, mapping: MapRun) -> Returned | Failed:
        """Note that the last item of a map is done; return how the map has ended."""
        del self._open[id(mapping)]
        if mapping.values is not None:
            return Returned(mapping.values)
        if self._recording is not None:
            self._recording.note_atomic(mapping.job, mapping.atomic)
        if not mapping.failed:
            return Returned([self._state.get_result(item.key) for item in mapping.items()])
        error = self._ending.last_failure if mapping.error is None else mapping.error
        mapping.error = None  # its traceback leads to an item, and so back here
        try:
            return Failed(error)
        finally:
            del error  # as above

    def forget_items(self, mapping: MapRun) -> None:
        """Forget the facts of a map's items, whose place the map's own value takes."""
        if mapping.values is not None or (self._recording is not None and mapping.failed):
            return  # there are none; or a run that goes on makes the failed calls alone
        atomic = "" if self._recording is None else self._recording.atomic_of(mapping.job)
        for item in mapping.items():
            self._frames.forget(item.frame_key, atomic)

    def _recover(self, mapping: MapRun) -> None:
        """Take the values of items that are recorded."""
        assert self._recording is not None
        items = mapping.items()
        recovered = self._recording.begin_map(mapping, items)
        for item in items:
            if item.index in recovered:
                self._reports.skipped(item, SkipReason.RECOVERED)
        mapping.recover(recovered)

    def are_plain(self, mapping: MapRun) -> bool:
        """Tell whether the items of a map may be called one after the other, here and now."""
        return self._time_slice.direct and not mapping.injects and self._calling.is_plain(mapping.job)

    def call(self, mapping: MapRun) -> CalledItems:
        """Make the calls of a map's items one after the other, as many as the slice has time for."""
        if not self._time_slice.watched:
            return CalledItems(mapping.calls, *mapping.calls.call(self._time_slice.ends))
        reports, began = self._reports, time.monotonic()
        ends = reports.new_ends()
        called = CalledItems(mapping.calls, *mapping.calls.call(self._time_slice.ends, ends))
        take_given(called.first)
        made = made_calls(called.first, began, ends, reports.shows)
        reports.items_made(mapping.job, 0, made)
        called.ended = made.ended
        return called

    def next_item(self, mapping: MapRun) -> ItemJob | None:
        """Return the item whose turn it is, and let the one after it have its turn as well."""
        item = mapping.next_item()
        mapping.queued = False
        self.queue(mapping)
        return item

    def queue(self, mapping: MapRun) -> None:
        """Let a map's next item be started in its turn, if there is one that may."""
        if mapping.can_begin and not mapping.queued:
            mapping.queued = True
            frame = mapping.job.frame
            self._ready.push(frame.serial, frame.program.rank[mapping.job.position], mapping)
