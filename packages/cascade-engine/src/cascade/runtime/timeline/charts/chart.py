"""Charts: a run as one picture, a row for each task and a bar for each call, in light and dark.

Names of the user's stand in text elements and titles only, escaped. Nothing is loaded from elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate

from cascade.graph.drawing.labels import cut, escape_xml, one_line, short_time
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.charts.chart_rows import Bar, Kind, Row, Rows, rows_of
from cascade.runtime.timeline.charts.chart_style import STYLE
from cascade.runtime.timeline.figures import TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline

WIDTH = 960.0
"""The width of a chart, in pixels."""

LONGEST = 26
"""A name of more characters is cut; the whole of it is in the title of its row, which a pointer shows."""

_LEFT, _RIGHT, _HEAD = 250.0, 24.0, 60.0
_LANE, _LEAST, _PADDING = 10.0, 36.0, 8.0
_SEAM = 0.8
_MOST_TICKS = 6


def chart_of(run: RunTimeline, now: float) -> str:
    """Return the chart of a run as SVG. Calls that are under way last until `now`, a moment of `time.monotonic`."""
    rows = rows_of(run, now)
    tops = [*accumulate(map(_height, rows.shown), initial=_HEAD)]
    bottom = tops[-1]
    title = _title(run, rows)
    body = [f'<text x="16" y="26">{escape_xml(cut(title, 110))}</text>']
    if run.is_timed:
        body += _grid(rows.seconds, bottom)
    for row, top in zip(rows.shown, tops, strict=False):
        body += _row(row, top)
    if rows.other_tasks:
        bottom += 24
        more = f"and {rows.other_tasks:,} more tasks with {rows.other_calls:,} calls"
        body.append(f'<text class="cs-small" x="16" y="{bottom - 8:.0f}">{more}</text>')
    if run.folded:
        bottom += 20
        text = f"{run.folded:,} calls are in the numbers only: the timeline had no room for them"
        body.append(f'<text class="cs-small" x="16" y="{bottom - 4:.0f}">{text}</text>')
    body += _legend(rows.shown, bottom + 22)
    return _svg(bottom + 40, title, body)


def empty_chart() -> str:
    """Return the chart of no run, which says so."""
    return _svg(44, "no run yet", ['<text x="16" y="27">no run yet</text>'])


def _svg(height: float, title: str, body: Sequence[str]) -> str:
    size = f'width="{WIDTH:.0f}" height="{height:.0f}" viewBox="0 0 {WIDTH:.0f} {height:.0f}"'
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} class="cs-chart">',
            f"<title>{escape_xml(title)}</title>",
            f"<style>{STYLE}</style>",
            '<rect class="cs-paper" width="100%" height="100%"/>',
            *body,
            "</svg>\n",
        )
    )


def _title(run: RunTimeline, rows: Rows) -> str:
    status = run.outcome.lower()
    calls = sum(row.figures.calls for row in rows.shown) + rows.other_calls
    length = f", {short_time(rows.seconds)}" if run.is_timed else ""
    return f"Run {one_line(run.run_id)}: {status}{length}, {_number(calls, 'call')}"


def _grid(seconds: float, bottom: float) -> Iterator[str]:
    """Give the lines of the axis of time, with the moments that they stand for."""
    wish = seconds / _MOST_TICKS
    power = 10.0 ** math.floor(math.log10(wish))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= wish)
    for number in range(int(seconds / step + 1e-9) + 1):
        x = _x(number * step / seconds)
        yield f'<path class="cs-grid" d="M{x:.1f} {_HEAD - 6:.0f}V{bottom:.0f}"/>'
        label = short_time(number * step) if number else "0"
        yield f'<text class="cs-small cs-tick" x="{x:.1f}" y="{_HEAD - 12:.0f}">{label}</text>'


def _x(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _height(row: Row) -> float:
    return max(_LEAST, row.lanes * _LANE + 2 * _PADDING)


def _row(row: Row, top: float) -> Iterator[str]:
    name, note = one_line(row.figures.task), _note(row.figures)
    height = _height(row)
    yield f'<g class="cs-row" transform="translate(0 {top:.0f})"><title>{escape_xml(f"{name}: {note}")}</title>'
    yield f'<path class="cs-grid" d="M16 {height:.0f}H{WIDTH - _RIGHT:.0f}"/>'
    yield f'<text x="16" y="16">{escape_xml(cut(name, LONGEST))}</text>'
    yield f'<text class="cs-small" x="16" y="30">{note}</text>'
    first = (height - row.lanes * _LANE) / 2
    for kind in Kind:
        bars = [bar for bar in row.bars if bar.kind is kind]
        if bars:
            path = "".join(_bar(bar, first, row.lanes) for bar in bars)
            yield f'<path class="cs-{kind.value}" d="{path}"/>'
    if row.retries:
        ticks = "".join(f"M{_x(each):.1f} {first - 3:.1f}V{height - first + 3:.1f}" for each in row.retries)
        yield f'<path class="cs-retry" d="{ticks}"/>'
    yield "</g>"


def _bar(bar: Bar, first: float, lanes: int) -> str:
    """Return a rectangle as a part of a path."""
    top, height = first + bar.lane * _LANE + 1, _LANE - 2
    if bar.kind is Kind.MAP:
        top, height = first - 3, lanes * _LANE + 6
    elif bar.kind is Kind.WAIT:
        top, height = top + height / 2 - 1, 2
    left = _x(bar.left)
    width = max(_x(bar.right) - left - _SEAM, 1.2)  # so that two calls in a row can be told apart
    return f"M{left:.1f} {top:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"


def _note(figures: TaskFigures) -> str:
    """Return in few words what became of the calls of a task."""
    hits = figures.skips.get(SkipReason.CACHE_HIT, 0) + figures.skips.get(SkipReason.RECOVERED, 0)
    skipped = sum(figures.skips.values()) - hits
    counts = (
        (figures.running, "running"),
        (figures.by_status.get(Status.FAILED, 0), "failed"),
        (figures.by_status.get(Status.CANCELLED, 0), "cancelled"),
        (figures.retries, "retried"),
        (hits, "read"),
        (skipped, "skipped"),
    )
    parts = [_number(figures.calls, "call"), short_time(figures.total) if figures.sketch else ""]
    parts += [f"{count:,} {word}" for count, word in counts if count]
    return ", ".join(filter(None, parts))


def _number(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _legend(rows: Sequence[Row], top: float) -> Iterator[str]:
    """Give a sign and its meaning for each thing that occurs."""
    kinds = {bar.kind for row in rows for bar in row.bars}
    x = 16.0
    for kind, meaning in _MEANINGS.items():
        if kind in kinds:
            sign = (
                f"M{x:.0f} {top - 1:.0f}h18v2h-18z"
                if kind is Kind.WAIT
                else f"M{x:.0f} {top - 5:.0f}h18v10h-18z"
            )
            yield f'<path class="cs-{kind.value}" d="{sign}"/>'
            yield f'<text class="cs-small" x="{x + 24:.0f}" y="{top + 4:.0f}">{meaning}</text>'
            x += 48 + 6.2 * len(meaning)
    if any(row.retries for row in rows):
        yield f'<path class="cs-retry" d="M{x + 9:.0f} {top - 7:.0f}v14"/>'
        yield f'<text class="cs-small" x="{x + 24:.0f}" y="{top + 4:.0f}">an attempt failed</text>'


_MEANINGS = {
    Kind.SUCCEEDED: "succeeded",
    Kind.FAILED: "failed",
    Kind.CANCELLED: "cancelled",
    Kind.RUNNING: "running",
    Kind.WAIT: "waits",
    Kind.MAP: "map, as a whole",
}
