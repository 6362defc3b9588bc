"""The rows of a chart: what each task of a run did and when, folded so far that a picture can show it.

Positions are shares of the run's length, from 0 to 1. Bars that would be thinner than what one sees become one, so a
row has a bounded number of them, whatever the number of its calls.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cascade.runtime.events import Status
from cascade.runtime.timeline.figures import TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import Call

MOST_ROWS = 40
"""So many tasks have a row: those with failures, then those that took longest."""

MOST_LANES = 4
"""Calls of one task that overlap stand below each other in so many lanes; further ones are in the last."""

_GAP = 1 / 360
"""Bars that are nearer than this to each other become one if one of them is narrower than twice as much."""


class Kind(StrEnum):
    """What a bar shows: how a call ended, or something else. Those that come later are drawn over the others."""

    MAP = "map"
    WAIT = "wait"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(slots=True)
class Bar:
    """Something that lasts, in a lane of its row."""

    kind: Kind
    lane: int
    left: float
    right: float


@dataclass(slots=True)
class Row:
    """What one task did: its figures, its bars, and when attempts failed that others followed."""

    figures: TaskFigures
    bars: list[Bar] = field(default_factory=list)
    retries: list[float] = field(default_factory=list)
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a run by their beginning, and what has none: so many tasks, with so many calls."""

    shown: Sequence[Row]
    other_tasks: int
    other_calls: int
    seconds: float


def rows_of(run: RunTimeline, now: float) -> Rows:
    """Return the rows of a run; calls that are under way last until `now`. Takes O(calls log calls)."""
    figures = run.tasks()
    by_weight = sorted(
        figures.values(),
        key=lambda each: (each.by_status.get(Status.FAILED, 0) == 0, -each.total, -each.known),
    )
    rows = {each.task: Row(each) for each in by_weight[:MOST_ROWS]}
    columns = {task: _Columns() for task in rows}
    last = run.began
    for call in run.calls():
        last = max(last, call.ended)
        if call.task in columns:
            columns[call.task].add(call)
    running = run.running()
    end = max(last, now if run.ended is None else run.ended)
    scale = _Scale(run.began, max(end - run.began, 1e-9))
    for task, calls in columns.items():
        _fill(rows[task], calls, scale)
    for under_way in running:
        if under_way.task in rows:
            row = rows[under_way.task]
            row.bars.append(Bar(Kind.RUNNING, row.lanes - 1, scale.at(under_way.began), scale.at(end)))
    for retry in run.retries():
        if retry.task in rows:
            rows[retry.task].retries.append(scale.at(retry.at))
    for row in rows.values():
        row.retries = _apart(row.retries)
    others = by_weight[MOST_ROWS:]
    shown = sorted(rows.values(), key=lambda row: min((bar.left for bar in row.bars), default=1.0))
    return Rows(shown, len(others), sum(each.calls for each in others), scale.length)


@dataclass(frozen=True, slots=True)
class _Scale:
    """Turns moments into shares of a run."""

    began: float
    length: float

    def at(self, moment: float) -> float:
        return min(max((moment - self.began) / self.length, 0.0), 1.0)


class _Columns:
    """The calls of one task as numbers: of a million views, the collector of cycles would look at each, many times."""

    def __init__(self) -> None:
        self.maps: list[Call] = []
        self._began = array("d")
        self._queued = array("d")
        self._ended = array("d")
        self._status = bytearray()

    def add(self, call: Call) -> None:
        if call.is_map:
            self.maps.append(call)
            if call.status is Status.SUCCEEDED:
                return  # its items tell more
        self._began.append(call.began)
        self._queued.append(call.queued)
        self._ended.append(call.ended)
        self._status.append(_STATUSES.index(call.status))

    def in_order(self) -> Iterator[tuple[float, float, float, Kind]]:
        """Give the calls by their beginning: when each was queued, began and ended, and how."""
        queued, began, ended, status = self._queued, self._began, self._ended, self._status
        for place in sorted(range(len(began)), key=began.__getitem__):
            yield queued[place], began[place], ended[place], _KINDS[_STATUSES[status[place]]]


def _fill(row: Row, calls: _Columns, scale: _Scale) -> None:
    """Put calls into lanes, in the order in which they began."""
    lanes: list[Bar] = []  # the last bar of each lane
    waits: list[Bar] = []
    ends: list[float] = []
    start, length = scale.began, scale.length
    for each in calls.maps:
        row.bars.append(Bar(Kind.MAP, 0, (each.began - start) / length, (each.ended - start) / length))
    for queue, began, ended, kind in calls.in_order():
        left, right = (began - start) / length, (ended - start) / length
        lane = next((each for each, end in enumerate(ends) if end <= began), len(ends))
        if lane == len(ends) < MOST_LANES:
            ends.append(ended)
            lanes.append(Bar(kind, lane, left, right))
            row.bars.append(lanes[lane])
        else:
            lane = min(lane, MOST_LANES - 1)
            ends[lane] = max(ends[lane], ended)
            if not _joined(lanes[lane], kind, left, right):
                lanes[lane] = Bar(kind, lane, left, right)
                row.bars.append(lanes[lane])
        queued = (queue - start) / length
        if left - queued > _GAP and not (waits and _joined(waits[-1], Kind.WAIT, queued, left)):
            waits.append(Bar(Kind.WAIT, lane, queued, left))
    row.lanes = max(1, len(ends))
    row.bars += waits


def _joined(bar: Bar, kind: Kind, left: float, right: float) -> bool:
    """Make a bar longer if what follows it can't be told from it; return whether that was so."""
    is_narrow = bar.right - bar.left < 2 * _GAP or right - left < 2 * _GAP
    overlaps = left < bar.right
    if bar.kind is not kind or not (overlaps or (is_narrow and left - bar.right < _GAP)):
        return False
    bar.right = max(bar.right, right)
    return True


def _apart(moments: list[float]) -> list[float]:
    """Return moments of which no two are so near that they look like one."""
    apart: list[float] = []
    for moment in sorted(moments):
        if not apart or moment - apart[-1] > _GAP:
            apart.append(moment)
    return apart


_STATUSES = (*Status,)

_KINDS = {
    Status.SUCCEEDED: Kind.SUCCEEDED,
    Status.FAILED: Kind.FAILED,
    Status.CANCELLED: Kind.CANCELLED,
}
