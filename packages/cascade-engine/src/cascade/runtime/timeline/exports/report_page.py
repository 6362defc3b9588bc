"""Reports: one run as one HTML file, which needs nothing else and opens offline. It has names and times, no values."""

from __future__ import annotations

import hashlib
import json
import platform
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from heapq import nlargest
from importlib.metadata import version
from importlib.resources import files
from typing import NamedTuple

from cascade.graph.drawing.draw import draw
from cascade.graph.drawing.labels import cut, escape_xml, one_line, short_time
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.exports.report_data import Shown, columns_of
from cascade.runtime.timeline.figures import TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.timeline_graphs import marked_graph
from cascade.runtime.timeline.views import Call

MOST_ROWS = 1_000
"""A table shows so many rows; a last line says how many there are besides."""

SLOWEST = 50
"""The table of the slowest calls has so many."""

Cell = tuple[str, str]
"""The class of a cell, and its text, which is escaped already."""


class Recorded(NamedTuple):
    """What a report tells of a run that it has from a store.

    `status` is that of the store, `facts` are more lines for the summary, `notes` say what is not known. `graph` is
    the number of the tree that is drawn.
    """

    status: str
    facts: Sequence[tuple[str, str]]
    notes: Sequence[str]
    graph: int = 0


def report_page(run: RunTimeline, recorded: Recorded | None = None) -> str:
    """Return the report of a run as an HTML page; of one from a store, with what is `recorded` besides its timeline."""
    shown = Shown(run)
    parts = [
        *_summary(run, shown, recorded),
        *_graph(run, shown, 0 if recorded is None else recorded.graph),
        *_timeline(run, shown),
        *_tasks(run),
        *_slowest(shown),
        *_critical(run, shown),
        *_errors(run, shown),
    ]
    script, style = _file("report.js"), _file("report.css")
    data = json.dumps(columns_of(run, shown), separators=(",", ":")) if run.is_timed else ""
    title = escape_xml(f"Run {one_line(run.run_id)}")
    return _PAGE.format(
        title=title,
        policy=report_policy(),
        style=style,
        body="\n".join(parts),
        # No text in the data can end the element that it stands in.
        data=data.replace("<", "\\u003c"),
        script=f"<script>{script}</script>" if run.is_timed else "",
    )


def report_policy() -> str:
    """Return what the page of a report may load and run: its own script and styles, and nothing else."""
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src '{_hash(_file('report.js'))}'"


def _file(name: str) -> str:
    return files("cascade.runtime.timeline").joinpath("page", name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    return f"sha256-{b64encode(hashlib.sha256(script.encode()).digest()).decode()}"


def _summary(run: RunTimeline, shown: Shown, recorded: Recorded | None) -> Iterator[str]:
    figures = run.tasks().values()
    skips = sum((Counter(each.skips) for each in figures), Counter[SkipReason]())
    hits = skips.pop(SkipReason.CACHE_HIT, 0)
    recovered = skips.pop(SkipReason.RECOVERED, 0)
    by_status = sum((Counter(each.by_status) for each in figures), Counter[Status]())
    status = run.outcome
    versions = f"Cascade {version('cascade-engine')}, Python {platform.python_version()}"
    facts = [
        ("Status", status if recorded is None else recorded.status),
        ("Began", run.began_at.isoformat(sep=" ", timespec="milliseconds")),
        ("Took", "" if run.ended is None else short_time(run.ended - run.began)),
        ("Calls", f"{by_status.total():,}"),
        ("Failed", f"{by_status[Status.FAILED]:,}" if by_status[Status.FAILED] else ""),
        ("Cancelled", f"{by_status[Status.CANCELLED]:,}" if by_status[Status.CANCELLED] else ""),
        ("Retries", _count(sum(each.retries for each in figures))),
        ("From the cache", _count(hits)),
        ("From the record", _count(recovered)),
        ("Skipped", ", ".join(f"{count:,} {reason.value}" for reason, count in skips.items())),
        ("Inputs", ", ".join(run.inputs)),
        ("Error", run.error or ""),
        *(recorded.facts if recorded is not None else [("Versions", versions)]),
    ]
    yield f"<h1>Run {escape_xml(one_line(run.run_id))}</h1><dl>"
    for name, text in facts:
        if text:
            yield f"<dt>{name}</dt><dd>{escape_xml(text)}</dd>"
    yield "</dl>"
    for note in () if recorded is None else recorded.notes:
        yield f'<p class="note recorded">{escape_xml(note)}</p>'
    if shown.folded:
        yield (
            f'<p class="note" id="folded">{shown.folded:,} of {shown.all:,} calls are folded: they are in the table of '
            "tasks, and have no bar in the timeline.</p>"
        )


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _graph(run: RunTimeline, shown: Shown, number: int) -> Iterator[str]:
    marked = marked_graph(run, shown.ended, number)
    if marked is not None:
        yield '<h2>Graph</h2><div class="scroll" id="graph">'
        yield draw(*marked).svg
        yield "</div>"


def _timeline(run: RunTimeline, shown: Shown) -> Iterator[str]:
    if run.is_timed and shown.calls:
        yield "<h2>Timeline</h2>"
        yield _LANES


def _tasks(run: RunTimeline) -> Iterator[str]:
    figures = sorted(run.tasks().values(), key=lambda each: -each.total)
    counts = ("Calls", "Failed", "Retried", "From cache", "Skipped")
    heads = ("Task", *counts, "Total", "Mean", "Median", "95 %", "Longest")
    yield "<h2>Tasks</h2>"
    yield from _table("tasks", heads, (_task_row(each) for each in figures[:MOST_ROWS]))
    if len(figures) > MOST_ROWS:
        yield f'<p class="note">and {len(figures) - MOST_ROWS:,} more tasks</p>'


def _task_row(figures: TaskFigures) -> Iterator[Cell]:
    hits = figures.skips.get(SkipReason.CACHE_HIT, 0) + figures.skips.get(SkipReason.RECOVERED, 0)
    yield "text", _text(figures.task)
    counts = (
        figures.by_status.get(Status.FAILED, 0),
        figures.retries,
        hits,
        sum(figures.skips.values()) - hits,
    )
    for count in (figures.calls, *counts):
        yield "number", f"{count:,}" if count else ""
    times = (figures.total, figures.mean, figures.quantile(0.5), figures.quantile(0.95), figures.longest)
    for seconds in times:
        yield "number", short_time(seconds) if figures.sketch else ""


def _slowest(shown: Shown) -> Iterator[str]:
    if shown.calls:
        yield "<h2>Slowest calls</h2>"
        slowest = nlargest(SLOWEST, shown.calls, key=lambda call: call.duration)
        yield from _table("slowest", _CALL_HEADS, map(_call_row, slowest))


def _critical(run: RunTimeline, shown: Shown) -> Iterator[str]:
    if shown.critical and run.ended is not None:
        path = shown.critical
        of_nodes = sum(call.duration for call in path if call.place.item is None)
        share = of_nodes / max(run.ended - run.began, 1e-9)
        yield "<h2>Critical path</h2>"
        yield f'<p class="note">{len(path):,} calls, {min(share, 1):.0%} of the time of the run</p>'
        yield from _table("critical", _CALL_HEADS, map(_call_row, path[:SLOWEST]))
        if len(path) > SLOWEST:
            yield f'<p class="note">and {len(path) - SLOWEST:,} more calls</p>'


_CALL_HEADS = ("Call", "Task", "Took", "Waited", "Attempt", "Worker", "Status")


def _call_row(call: Call) -> Iterator[Cell]:
    yield "", call.id
    yield "text", _text(call.task)
    yield "number", short_time(call.duration)
    yield "number", short_time(call.began - call.queued) if call.began - call.queued > 1e-6 else ""
    yield "number", str(call.attempt)
    yield "", _text(call.worker)
    yield call.status.value.lower(), call.status.value


def _errors(run: RunTimeline, shown: Shown) -> Iterator[str]:
    failed = shown.ended.failed
    retries = run.retries()
    if failed or retries:
        yield "<h2>Errors</h2>"
    for call in failed[:SLOWEST]:
        notes = "".join(f"\n{note}" for note in call.notes)
        notes += "" if call.where is None else f"\nat {call.where}"
        yield f'<h3 class="failed">{_text(call.task)} {call.id}</h3><pre>{escape_xml(f"{call.error}{notes}")}</pre>'
    if len(failed) > SLOWEST:
        yield f'<p class="note">and {len(failed) - SLOWEST:,} more failed calls</p>'
    if retries:
        heads = ("Call", "Task", "Attempt", "Next one after", "Error")
        yield from _table("retries", heads, (
            (("", retry.place.id), ("text", _text(retry.task)), ("number", str(retry.attempt)),
             ("number", short_time(retry.delay)), ("text", _text(retry.error)))
            for retry in retries[:MOST_ROWS]
        ))  # fmt: skip


def _text(text: str) -> str:
    return escape_xml(cut(one_line(text), 500))


def _table(name: str, heads: Sequence[str], rows: Iterable[Iterable[Cell]]) -> Iterator[str]:
    yield f'<div class="scroll"><table id="{name}"><thead><tr>'
    yield "".join(
        f'<th scope="col" class="{"number" if head in _NUMBERS else ""}">{head}</th>' for head in heads
    )
    yield "</tr></thead><tbody>"
    for row in rows:
        yield "<tr>" + "".join(f'<td class="{kind}">{text}</td>' for kind, text in row) + "</tr>"
    yield "</tbody></table></div>"


_NUMBERS = {
    "Calls",
    "Failed",
    "Retried",
    "From cache",
    "Skipped",
    "Total",
    "Mean",
    "Median",
    "95 %",
    "Longest",
}
_NUMBERS |= {"Took", "Waited", "Attempt", "Next one after"}
"""The heads of columns of numbers."""

_LANES = """<div class="bar">
<button id="zoom-in" aria-label="Zoom in">+</button>
<button id="zoom-out" aria-label="Zoom out">-</button>
<button id="zoom-all">All</button>
<label>Rows <select id="order"><option value="task">by task</option><option value="worker">by worker</option></select>
</label>
<label>Find <input id="search" type="search" placeholder="task, id or error"></label>
<span id="found" role="status"></span>
</div>
<div class="lanes" id="lanes" tabindex="0" role="img"
aria-label="Timeline: a bar for each call. The tables below have the same calls. Keys: plus, minus, 0, arrows.">
<canvas></canvas><div class="space"></div></div>
<p class="picked" id="picked" role="status"></p>
<p class="note">Grey lines are waits. Purple lines are on the critical path. Red ticks are retries. Ctrl and the wheel
zoom, dragging moves, a click shows a call.</p>"""

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{style}</style>
<body>
{body}
<script type="application/json" id="data">{data}</script>
{script}
</body>
</html>
"""
