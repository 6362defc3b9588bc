"""The progress of a run that goes on here, read from its timeline. It may be read in any thread."""

from __future__ import annotations

import time
from collections import Counter

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.progress.run_progress import CallFailure, RunProgress, SlowCall, TaskProgress, Waiting
from cascade.runtime.timeline.figures import TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call

_FROM_CACHE = (SkipReason.CACHE_HIT, SkipReason.RECOVERED)


def progress_of(run: RunTimeline) -> RunProgress:
    """Return how far a run has come."""
    ended = run.ended
    return RunProgress(
        run_id=run.run_id,
        elapsed=(time.monotonic() if ended is None else ended) - run.began,
        status=run.status,
        tasks=tuple(task_progress(figures, has_ended=ended is not None) for figures in run.tasks().values()),
        waiting=tuple(
            Waiting(call.task, call.reason, calls) for call, calls in Counter(run.waiting()).items()
        ),
        last_failure=_last_failure(run),
        slowest=tuple(SlowCall(call.task, call.id, call.duration) for call in run.slowest()),
        error=run.error,
    )


def task_progress(figures: TaskFigures, *, has_ended: bool) -> TaskProgress:
    """Return how far the calls of one task have come, by its figures."""
    skips = figures.skips
    cached = sum(skips.get(reason, 0) for reason in _FROM_CACHE)
    done = figures.done
    total = None if figures.is_looped and not has_ended else max(figures.known, done)
    return TaskProgress(
        task=figures.task,
        done=done,
        total=total,
        running=figures.running,
        failed=figures.by_status.get(Status.FAILED, 0),
        skipped=sum(skips.values()) - cached,
        cached=cached,
        retried=figures.retries,
        timed=figures.timed,
        seconds=figures.total,
    )


def _last_failure(run: RunTimeline) -> CallFailure | None:
    failed = run.last_failure()
    if failed is None:
        return None
    is_call = isinstance(failed, Call)
    return CallFailure(failed.task, failed.place.id, failed.error or "", retried=not is_call)
