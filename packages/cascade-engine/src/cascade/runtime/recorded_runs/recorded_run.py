"""One recorded run, as a store shows it: its timeline, how far it has come, and what the store does not know.

Runs that an older version has recorded have facts and no timeline. A run whose process was killed has facts that came
after the last part of its timeline. Both is told, and no time is made up.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from heapq import nlargest

from cascade.adapters.state.catalog import FactSummary, RunSummary
from cascade.adapters.state.journal import Kind, TimelinePart
from cascade.runtime.events import Status
from cascade.runtime.progress.run_progress import (
    CallFailure,
    RunProgress,
    SlowCall,
    Waiting,
)
from cascade.runtime.progress.timeline_progress import task_progress
from cascade.runtime.timeline.exports.report_page import Recorded, report_page
from cascade.runtime.timeline.figures import Figures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.storing.stored_form import StoredSum
from cascade.runtime.timeline.storing.stored_timeline import (
    StoredDrive,
    StoredTimeline,
    figures_of,
    read_drives,
    stored_timeline,
)
from cascade.runtime.timeline.views import Place
from cascade.spec.durable import RunStatus
from cascade.spec.late_dataclasses import dataclass

SLOWEST = 10
"""The progress of a run names so many of its calls."""
INTERRUPTED = "interrupted"
"""The status that is shown of a run that has not ended and that no process drives."""

_ENDED = {
    RunStatus.SUCCEEDED: Status.SUCCEEDED,
    RunStatus.FAILED: Status.FAILED,
    RunStatus.CANCELLED: Status.CANCELLED,
}


def shown_status(summary: RunSummary) -> str:
    """Return what is shown as the status of a run."""
    return INTERRUPTED if summary.is_interrupted else summary.status.value


def status_text(summary: RunSummary) -> str:
    """Return the status of a run as people read it, with what it waits for."""
    status = shown_status(summary)
    return f"{status} for {summary.waits_for}" if summary.waits_for else status


@dataclass(frozen=True, slots=True)
class RecordedRun:
    """What a store has of one run, without its values. `written` is when the timeline was committed last."""

    summary: RunSummary
    drives: Sequence[StoredDrive]
    written: float

    @classmethod
    def read(cls, summary: RunSummary, parts: Sequence[TimelinePart], *, pieces: bool = True) -> RecordedRun:
        """Read the parts of a timeline; those that have its calls only if they are wanted.

        Raises:
            DamagedDataError: If they are not what was written.
        """
        by_drive: dict[int, dict[int, bytes]] = {}
        for part in parts:
            by_drive.setdefault(part.drive, {})[part.number] = part.data
        written = max((part.at for part in parts), default=0.0)
        return cls(summary, read_drives(by_drive, pieces), written)

    def timeline(self) -> RunTimeline:
        """Return the timeline, as far as the store has it.

        Raises:
            DamagedDataError: If it does not fit together.
        """
        return self._timeline().run

    def _timeline(self) -> StoredTimeline:
        found = stored_timeline(self.summary.run_id, self.drives)
        run = found.run
        run.status, run.error = _ENDED.get(self.summary.status), self.summary.error or None
        if run.status is None:
            run.ended = None
        return found

    def progress(self, now: float | None = None) -> RunProgress:
        """Return how far the run has come, at this time in seconds since the epoch, or now."""
        summary = self.summary
        status = _ENDED.get(summary.status)
        if not self.drives:
            return RunProgress(
                summary.run_id, summary.updated - summary.began, status, error=summary.error or None
            )
        total = self.drives[-1].total
        ends = total.ended if total.ended is not None else self._last_moment(now) - total.began
        running = Counter(task for _, task, _ in total.running)
        return RunProgress(
            run_id=summary.run_id,
            elapsed=max(0.0, ends),
            status=status,
            tasks=tuple(
                task_progress(
                    figures_of(each).snapshot(each.task, running[each.task]), has_ended=status is not None
                )
                for each in total.tasks
            ),
            waiting=tuple(Waiting(*each) for each in total.waiting),
            last_failure=_failure(total),
            slowest=self._slowest(),
            error=summary.error or None,
        )

    def _slowest(self) -> tuple[SlowCall, ...]:
        """Return the slowest calls; none unless the pieces were read."""
        if not any(drive.pieces for drive in self.drives):
            return ()
        calls = (call for call in self.timeline().calls() if not call.is_map)
        slowest = nlargest(SLOWEST, calls, key=lambda call: call.duration)
        return tuple(SlowCall(call.task, call.id, call.duration) for call in slowest)

    def _last_moment(self, now: float | None) -> float:
        """Return until when the run is known to go on: now, if somebody drives it, else the last commit."""
        if not self.summary.driver:
            return self.summary.updated
        return time.time() if now is None else now

    def report(self, facts: Sequence[FactSummary]) -> str:
        """Return the report of the run as an HTML page; `facts` are all of its facts.

        Raises:
            DamagedDataError: If its timeline does not fit together.
        """
        run, graph = self._timeline()
        untimed = Counter(fact.task for fact in facts if fact.kind is Kind.RESULT and fact.at > self.written)
        if not self.drives:
            run = RunTimeline(self.summary.run_id, 0.0, is_timed=False, take_room=lambda _: False)
            run.began_at = datetime.fromtimestamp(self.summary.began, UTC)
            run.status, run.error = _ENDED.get(self.summary.status), self.summary.error or None
        figures = {task: Figures() for task in untimed}
        for task, calls in untimed.items():
            figures[task].by_status[Status.SUCCEEDED] = calls
        run.add_figures(figures)
        status, notes = status_text(self.summary), [*self._notes(run, untimed)]
        return report_page(run, Recorded(status, self._lines(), notes, graph))

    def _lines(self) -> list[tuple[str, str]]:
        summary = self.summary
        lines = [("Last commit", _moment(summary.updated)), ("Driven by", summary.driver)]
        if len(self.drives) > 1:
            lines.append(("Driven", f"by {len(self.drives)} processes, one after another"))
        if self.drives:
            last = self.drives[-1].total
            lines.append(("Versions", f"Cascade {last.cascade}, Python {last.python}"))
        return lines

    def _notes(self, run: RunTimeline, untimed: Counter[str]) -> Iterator[str]:
        if not self.drives:
            yield (
                "The store has no times and no graph of this run: an older version of Cascade has recorded it. The"
                " table counts the values that it has."
            )
            return
        if untimed:
            yield (
                f"{untimed.total():,} calls ended after the times were written for the last time. They are counted in"
                " the table of tasks; their times are not known."
            )
        if self.summary.is_interrupted and run.running():
            yield f"{len(run.running()):,} calls were under way when the run was last heard of."
        more = sum(drive.total.more_tasks for drive in self.drives)
        if more:
            yield f"{more:,} more tasks have no figures in the store."
        if not run.has_trees:
            yield "The graph is not kept of a tree as large as this one."
        yield "Of errors a store has the types alone: their texts may hold values."


def _moment(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat(sep=" ", timespec="milliseconds")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def _failure(total: StoredSum) -> CallFailure | None:
    failed = total.failure
    if failed is None:
        return None
    return CallFailure(failed.task, Place(*failed.place).id, failed.error, failed.retried)
