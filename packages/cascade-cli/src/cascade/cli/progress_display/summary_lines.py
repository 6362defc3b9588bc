"""The summary of a run as lines of text: calls, time per task, slowest calls, cache and retries."""

from __future__ import annotations

from rich.text import Text

from cascade.cli.progress_display.amounts import count, took
from cascade.cli.progress_display.columns import Column, cut, escaped, in_one_line, side_by_side
from cascade.runtime.events import Status
from cascade.runtime.progress.run_progress import RunProgress, TaskProgress

_SLOWEST = 3
"""So many of the slowest calls are named."""

_STYLES = {Status.SUCCEEDED: "green", Status.FAILED: "red", Status.CANCELLED: "yellow", None: ""}


def summary_lines(progress: RunProgress, width: int, most_tasks: int) -> list[Text]:
    """Return the lines that sum up a run, none wider than `width`, with the tasks that took longest."""
    tasks = sorted(progress.tasks, key=lambda task: task.seconds, reverse=True)
    chosen = {*map(id, tasks[:most_tasks])}
    listed = [task for task in progress.tasks if id(task) in chosen]
    lines = [_head(progress, width)]
    if listed:
        lines += side_by_side(_columns(listed), width)
    if len(tasks) > len(listed):
        lines.append(Text(f"{len(tasks) - len(listed):,} more tasks took less time", "dim"))
    if progress.slowest:
        lines.append(_slowest(progress))
    return [cut(line, width) for line in lines]


def _head(progress: RunProgress, width: int) -> Text:
    ended = "" if progress.status is None else f"{progress.status.lower()} after "
    tasks = progress.tasks
    parts = [  # from left to right, with their ranks
        (escaped(f"run {progress.run_id}", "bold"), 1),
        (Text(f"{ended}{took(progress.elapsed)}", _STYLES[progress.status]), 6),
        (Text(_calls(sum(task.made for task in tasks))), 7),
        (_counted(sum(task.cached for task in tasks), "from cache"), 3),
        (_counted(sum(task.retried for task in tasks), "retry", "retries"), 4),
        (_counted(sum(task.failed for task in tasks), "failed"), 5),
        (_counted(sum(task.skipped for task in tasks), "skipped"), 2),
    ]
    return in_one_line(parts, width)


def _counted(number: int, one: str, more: str = "") -> Text:
    return Text("" if not number else f"{number:,} {one if number == 1 else more or one}")


def _columns(tasks: list[TaskProgress]) -> list[Column]:
    return [
        Column("TASK", [escaped(task.task) for task in tasks]),
        Column("CALLS", [Text(f"{task.made:,}") for task in tasks], 9),
        Column("A CALL", [Text("" if task.mean is None else took(task.mean)) for task in tasks], 8),
        Column("TOTAL", [Text(took(task.seconds) if task.timed else "") for task in tasks], 7),
        Column("FAILED", [Text(count(task.failed), "red") for task in tasks], 6),
        Column("RETRIED", [Text(count(task.retried), "yellow") for task in tasks], 5),
        Column("CACHED", [Text(count(task.cached)) for task in tasks], 4),
        Column("SKIPPED", [Text(count(task.skipped)) for task in tasks], 3),
    ]


def _slowest(progress: RunProgress) -> Text:
    line = Text("slowest: ")
    for number, call in enumerate(progress.slowest[:_SLOWEST]):
        line.append(", " if number else "")
        line.append_text(Text.assemble(escaped(call.task), f" ({call.id}) {took(call.seconds)}"))
    return line


def _calls(number: int) -> str:
    return f"{number:,} {'call' if number == 1 else 'calls'}"
