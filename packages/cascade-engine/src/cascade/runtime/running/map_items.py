"""The maps of one run: each item in its turn, and the list of values when all are done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cascade.runtime.events import SkipReason
from cascade.runtime.frames.jobs import ItemJob, Job
from cascade.runtime.frames.map_runs import CalledItems, MapRun
from cascade.runtime.frames.outcomes import Failed, Returned
from cascade.runtime.programs.plain_values import LAZY_TYPES, take_given
from cascade.spec.calls.arguments import has_types

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder
    from cascade.runtime.running.run import Run


class Maps:
    """The maps that have begun and not ended."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._open: dict[int, MapRun] = {}  # by id

    def unfinished(self) -> Iterable[MapRun]:
        """Return the maps that have not ended."""
        return self._open.values()

    def take_over(self, mapping: MapRun, called: CalledItems) -> None:
        """Go on with a map whose first items have been called plainly."""
        self._open[id(mapping)] = mapping
        self._take(mapping, called, has_types(called.first, LAZY_TYPES))
        self._go_on(mapping)

    def next_item(self, mapping: MapRun) -> ItemJob | None:
        """Return the item whose turn it is, and let the one after it have its turn as well."""
        item = mapping.next_item()
        mapping.queued = False
        self._queue(mapping)
        return item

    def start(self, job: Job) -> None:
        """Begin a map that is ready: its inputs are known now."""
        run = self._run
        run.reports.started(job)
        try:
            if run.recording is None:
                mapping = MapRun(job)
            else:
                mapping = MapRun(job, in_order=run.recording.in_order)
                self._recover(run.recording, mapping)
        except Exception as error:  # noqa: BLE001 - iterating over the inputs is the user's own code
            run.settler.fail(job, error)
            return
        self._open[id(mapping)] = mapping
        if run.plain and not run.heard and self._has_plain_items(mapping):
            self._call(mapping)
        self._go_on(mapping)

    def _recover(self, recording: Recorder, mapping: MapRun) -> None:
        """Take the values of items that are recorded."""
        items = mapping.items()
        recovered = recording.begin_map(mapping, items)
        for item in items:
            if item.index in recovered:
                self._run.reports.skipped(item, SkipReason.RECOVERED)
        mapping.recover(recovered)

    def _go_on(self, mapping: MapRun) -> None:
        if self._run.ended or id(mapping) not in self._open:
            return  # the last item's failure has ended the run or the map
        if mapping.finished:
            self._end(mapping)
        else:
            self._queue(mapping)

    def _has_plain_items(self, mapping: MapRun) -> bool:
        return not mapping.injects and self._run.starter.is_plain(mapping.job)

    def _call(self, mapping: MapRun) -> None:
        """Make the calls of a map's items one after the other, as many as the turn has time for."""
        called = CalledItems(mapping.calls, *mapping.calls.call(self._run.turn_ends))
        self._take(mapping, called, take_given(called.first))

    def _take(self, mapping: MapRun, called: CalledItems, has_lazy: bool) -> None:
        """Take in what the first items of a map gave, and what the next one raised."""
        run, values, error = self._run, called.first, called.take_error()
        mapping.note_begun(len(values) + (error is not None))
        if error is None and mapping.finished and not has_lazy:
            mapping.values = values
            return
        for index, value in enumerate(values):
            item = ItemJob(mapping, index)
            if type(value) in LAZY_TYPES:
                mapping.note_running()
                run.settler.returned(item, value)
            else:
                run.state.put_result(item.key, value)
        if error is not None:
            mapping.note_running()
            run.settler.fail_plain(ItemJob(mapping, len(values)), error)

    def _queue(self, mapping: MapRun) -> None:
        """Let a map's next item be started in its turn, if there is one that may."""
        if mapping.can_begin and not mapping.queued:
            mapping.queued = True
            frame = mapping.job.frame
            rank = frame.program.rank[mapping.job.position]
            self._run.starter.queue(frame.serial, rank, mapping)

    def settle_item(self, mapping: MapRun) -> None:
        """Note that an item is done; with the last one the map has its value."""
        mapping.settle_item()
        if mapping.finished:
            self._end(mapping)
        else:
            self._queue(mapping)

    def _end(self, mapping: MapRun) -> None:
        run = self._run
        del self._open[id(mapping)]
        job = mapping.job
        if mapping.values is not None:
            run.reports.finished(job, Returned(mapping.values))
            run.settler.succeed(job, mapping.values)
            return
        items = mapping.items()
        if run.recording is not None:
            run.recording.note_atomic(job, mapping.atomic)
        if mapping.failed:
            error = run.settler.last_failure if mapping.error is None else mapping.error
            mapping.error = None  # its traceback leads to an item, and so back here
            run.reports.finished(job, Failed(error))
        else:
            values = [run.state.get_result(item.key) for item in items]
            run.reports.finished(job, Returned(values))
        if run.recording is None or not mapping.failed:  # a run that goes on makes the failed calls alone
            atomic = "" if run.recording is None else run.recording.atomic_of(job)
            for item in items:
                run.frames.forget(item.frame_key, atomic)
        if mapping.failed:
            run.settler.settle_without_value(job)
        else:
            run.settler.succeed(job, values)
