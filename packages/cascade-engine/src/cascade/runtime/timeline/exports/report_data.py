"""The data of a report: the calls of one run as columns of small numbers, for the script of the page.

Times are whole microseconds from the beginning of the run; `began` has the differences from call to call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cascade.runtime.events import Status
from cascade.runtime.timeline.ended_calls import EndedCalls
from cascade.runtime.timeline.exports.critical_path import critical_path
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call, Place

_NONE = -1


class Shown:
    """The calls of a run that its report shows, by their beginning, and those on the critical path."""

    def __init__(self, run: RunTimeline) -> None:
        self.ended = EndedCalls(run)
        self.all = self.ended.size + run.folded
        self.calls: list[Call] = self.ended.listed()
        self.folded = self.all - len(self.calls)
        self.critical: list[Call] = critical_path(self.ended)


def columns_of(run: RunTimeline, shown: Shown) -> dict[str, Any]:
    """Return the columns of calls, with texts as numbers of `names`."""
    names: dict[str, int] = {}
    begin, calls = run.began, shown.calls
    last = run.began if run.ended is None else run.ended
    moments = [_us(call.began - begin) for call in calls]
    place_of = {call.place: number for number, call in enumerate(calls)}

    def number(text: str) -> int:
        return names.setdefault(text, len(names))

    return {
        "total": max([_us(last - begin), *(_us(call.ended - begin) for call in calls[-1000:])]),
        "began": [moment - before for moment, before in zip(moments, [0, *moments], strict=False)],
        "took": [_us(call.duration) for call in calls],
        "waited": [_us(call.began - call.queued) for call in calls],
        "task": [number(call.task) for call in calls],
        "status": [_STATUSES.index(call.status) for call in calls],
        "statuses": [number(status.value) for status in _STATUSES],
        "worker": [number(call.worker) for call in calls],
        "error": [_NONE if call.error is None else number(call.error) for call in calls],
        "attempt": [call.attempt for call in calls],
        "tree": [call.place.tree for call in calls],
        "node": [call.place.node for call in calls],
        "item": [_NONE if call.place.item is None else call.place.item for call in calls],
        "retries": _retries(run, place_of),
        "critical": [place_of[call.place] for call in shown.critical if call.place in place_of],
        "names": [*names],
    }


def _retries(run: RunTimeline, place_of: dict[Place, int]) -> list[Sequence[int]]:
    return [
        (place_of[retry.place], _us(retry.at - run.began))
        for retry in run.retries()
        if retry.place in place_of
    ]


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


_STATUSES = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)
