"""Pages: what `cascade ui` shows, as HTML. Whatever comes from a store goes through `_text`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from urllib.parse import quote

from cascade.adapters.state import FactPage
from cascade.cli.tables.run_tables import local_time, size_text
from cascade.cli.ui.store_reading import RUNS, ShownRun, ShownRuns
from cascade.graph.drawing.labels import cut, escape_xml, one_line, short_time
from cascade.runtime.progress.run_progress import RunProgress, TaskProgress
from cascade.runtime.recorded_runs.recorded_run import status_text
from cascade.spec import RunStatus

MOST_TASKS = 200
"""A table of tasks has so many rows."""
MOST_TEXT = 300

_SYMBOLS = {
    RunStatus.SUCCEEDED.value: "✓",
    RunStatus.FAILED.value: "✗",
    RunStatus.RUNNING.value: "▸",
    RunStatus.WAITING.value: "◷",
    RunStatus.CANCELLED.value: "■",
    RunStatus.ABANDONED.value: "⊘",
    RunStatus.DAMAGED.value: "!",
}


def _text(text: str) -> str:
    """Return text from a store as HTML that shows it, also inside a quoted attribute."""
    return escape_xml(cut(one_line(text), MOST_TEXT))


def link_to(page: str, run_id: str) -> str:
    """Return the address of a page about a run."""
    return f"{page}?id={quote(run_id, safe='', errors='surrogatepass')}"


def runs_page(runs: ShownRuns, address: str) -> str:
    """Return the page with the runs of a store."""
    body = (
        f'<h1>Runs in <span class="store">{_text(address)}</span></h1><div id="live">{runs_table(runs)}</div>'
    )
    return _page(f"Runs in {address}", body, f"/events?first={runs.first}")


def runs_table(runs: ShownRuns) -> str:
    """Return the part of the page of runs that changes."""
    if not runs.total:
        return "<p>The store has no runs yet.</p>"
    last = runs.first + len(runs.runs)
    caption = f"Runs {runs.first + 1:,} to {last:,} of {runs.total:,}, the last updated first"
    heads = ("Run", "Status", "Progress", "Updated", "Task", "Driven by", "Error")
    rows = ([*_run_cells(run, runs.now)] for run in runs.runs)
    return _table("runs", caption, heads, rows) + _paging(runs)


def _run_cells(run: ShownRun, now: float) -> Iterator[str]:
    summary = run.summary
    yield f'<a href="{_text_of_link(link_to("/run", summary.run_id))}">{_text(summary.run_id) or "(no name)"}</a>'
    yield _status(run)
    yield _bar(run.progress)
    yield _time(summary.updated, _ago(now - summary.updated))
    yield _text(summary.task)
    yield _text(summary.driver)
    yield _text(summary.error or run.problem)


def _text_of_link(link: str) -> str:
    return escape_xml(link)


def _status(run: ShownRun) -> str:
    word, symbol = run.status, _SYMBOLS.get(run.status, "▫")
    told = _text(status_text(run.summary))
    return f'<span class="status {word}"><span aria-hidden="true">{symbol}</span> {told}</span>'


def _bar(progress: RunProgress | None) -> str:
    """Return how far a run has come: a bar where its end is known, and numbers."""
    if progress is None or not progress.tasks:
        return ""
    done, total = progress.done, progress.total
    if total is None:
        return f"{done:,} calls"
    told = f"{done:,} of {total:,}"
    return f'<progress value="{done}" max="{max(total, 1)}" aria-label="{told} calls"></progress> {told}'


def _time(seconds: float, shown: str) -> str:
    try:
        moment = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return escape_xml(str(seconds))
    return f'<time datetime="{moment}" title="{escape_xml(local_time(seconds))}">{escape_xml(shown)}</time>'


def _ago(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return f"{max(0, int(seconds))} s ago"


def _paging(runs: ShownRuns) -> str:
    links = []
    if runs.first:
        links.append(f'<a href="/?first={max(0, runs.first - RUNS)}" rel="prev">Newer</a>')
    if runs.first + RUNS < runs.total:
        links.append(f'<a href="/?first={runs.first + RUNS}" rel="next">Older</a>')
    return f'<nav class="paging" aria-label="Pages of runs">{" ".join(links)}</nav>' if links else ""


def run_page(run: ShownRun, address: str) -> str:
    """Return the page about one run."""
    run_id = run.run_id
    body = (
        f'<p><a href="/">All runs in {_text(address)}</a></p><h1>Run {_text(run_id)}</h1>'
        f'<div id="live">{run_part(run)}</div>'
        '<section aria-labelledby="h-report"><h2 id="h-report">Graph and timeline</h2>'
        f'<iframe id="report" title="Graph, timeline, slowest calls and errors of the run" loading="lazy"'
        f' src="{_text_of_link(link_to("/report", run_id))}"></iframe></section>'
        '<section aria-labelledby="h-facts"><h2 id="h-facts">Facts</h2>'
        '<p class="note">What is recorded of the run, without the values.</p>'
        f"{_table('facts', 'Facts', _FACT_HEADS, ())}"
        f'<p><button id="more" type="button" data-facts="{_text_of_link(link_to("/facts", run_id))}">'
        'Show facts</button> <span id="shown" role="status"></span></p></section>'
    )
    return _page(f"Run {run_id}", body, link_to("/run-events", run_id))


def run_part(run: ShownRun) -> str:
    """Return the part of the page about a run that changes."""
    summary, progress = run.summary, run.progress
    facts = [
        ("Status", _status(run)),
        ("Progress", _bar(progress)),
        ("Task", _text(summary.task)),
        ("Round", f"{summary.round:,}" if summary.round else ""),
        ("Began", _time(summary.began, local_time(summary.began))),
        ("Last commit", _time(summary.updated, local_time(summary.updated))),
        ("Took", _text(short_time(progress.elapsed)) if progress is not None and progress.tasks else ""),
        ("Driven by", _text(summary.driver)),
        ("Error", f'<span class="failed">{_text(summary.error)}</span>' if summary.error else ""),
        ("Problem", _text(run.problem)),
    ]
    told = "".join(f"<dt>{name}</dt><dd>{shown}</dd>" for name, shown in facts if shown)
    return f"<dl>{told}</dl>{_now(progress)}{_tasks(progress)}"


def _now(progress: RunProgress | None) -> str:
    """Return what the run waits for, and what has failed last."""
    if progress is None:
        return ""
    told = [
        f"<li>{each.calls:,} of {_text(each.task)} wait for {_text(each.reason)}</li>"
        for each in progress.waiting
    ]
    failed = progress.last_failure
    if failed is not None:
        how = "failed and is tried again" if failed.retried else "failed"
        told.append(
            f'<li class="failed">{_text(failed.task)} {_text(failed.id)} {how}: {_text(failed.error)}</li>'
        )
    return f'<ul class="now">{"".join(told)}</ul>' if told else ""


def _tasks(progress: RunProgress | None) -> str:
    if progress is None or not progress.tasks:
        return "<p>The store has no times of this run.</p>"
    heads = ("Task", "Done", "Of", "Running", "Failed", "Retried", "From cache", "Skipped", "Mean")
    rows = ([*_task_cells(task)] for task in progress.tasks[:MOST_TASKS])
    more = len(progress.tasks) - MOST_TASKS
    return _table("tasks", "Tasks", heads, rows) + (f"<p>and {more:,} more tasks</p>" if more > 0 else "")


def _task_cells(task: TaskProgress) -> Iterator[str]:
    yield _text(task.task)
    yield f"{task.done:,}"
    yield "?" if task.total is None else f"{task.total:,}"
    for number in (task.running, task.failed, task.retried, task.cached, task.skipped):
        yield f"{number:,}" if number else ""
    yield "" if task.mean is None else _text(short_time(task.mean))


_FACT_HEADS = ("Round", "Task", "Place", "Kind", "Committed", "Size")


def fact_rows(page: FactPage) -> str:
    """Return rows of the table of facts."""
    return "".join(
        _row(
            (
                f"{fact.round:,}",
                _text(fact.task),
                _text(fact.place),
                fact.kind.name.lower(),
                _time(fact.at, local_time(fact.at)),
                size_text(fact.size),
            )
        )
        for fact in page.facts
    )


def problem_page(title: str, text: str) -> str:
    """Return a page that says what is wrong."""
    body = f'<h1>{escape_xml(title)}</h1><p>{_text(text)}</p><p><a href="/">All runs</a></p>'
    return _page(title, body, "")


def _table(name: str, caption: str, heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join(map(_row, rows))
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{caption}"><table id="{name}">'
        f"<caption>{caption}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(cells: Iterable[str]) -> str:
    first, *others = cells
    return f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in others)}</tr>'


def _page(title: str, body: str, events: str) -> str:
    return _PAGE.format(title=_text(title), body=body, events=escape_xml(events))


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/ui.css">
<script src="/static/ui.js" defer></script>
</head>
<body data-events="{events}">
<a class="skip" href="#main">Skip to the content</a>
<header><a href="/"><strong>Cascade</strong></a> <span id="link" role="status"></span></header>
<main id="main" tabindex="-1">
{body}
</main>
<p id="said" class="said" role="status" aria-live="polite"></p>
</body>
</html>
"""
