"""Progress as lines of text: one for each task of a run, in a given width and height. It draws snapshots alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from cascade.cli.progress_display.amounts import clock, count, of_total, rate
from cascade.cli.progress_display.columns import Column, cut, escaped, in_one_line, side_by_side
from cascade.cli.progress_display.pace import Pace
from cascade.runtime.progress.run_progress import RunProgress, TaskProgress

_SHORT_BELOW = 70
"""In narrower terminals counts are written short."""

_BAR = 20
"""The width of a bar."""

_MOST_WAITING = 3
"""At most so many lines say what calls wait for."""


def progress_lines(progress: RunProgress, pace: Pace, width: int, height: int) -> list[Text]:
    """Return the lines that show how far a run has come, at most `height` of them and none wider than `width`.

    If there are more tasks than lines, those are shown that run, have failed or have begun, and one line counts the
    others.
    """
    head = _head(progress, pace, width)
    notes = [*_notes(progress)][: max(0, height - 4)]
    space = max(1, height - 2 - len(notes))  # beside the two heads
    tasks: Sequence[TaskProgress] = progress.tasks
    others: Sequence[TaskProgress] = ()
    if len(tasks) > space:
        tasks, others = _chosen(tasks, max(1, space - 1))
    lines = [head]
    if tasks:
        lines += side_by_side(_columns(tasks, pace, short=width < _SHORT_BELOW), width)
    if others:
        lines.append(_others(others))
    lines += notes
    return [cut(line, width) for line in lines[: max(1, height)]]


def progress_sentence(progress: RunProgress, pace: Pace) -> str:
    """Return the same in one line, for where lines can't be drawn again."""
    parts = [
        f"{of_total(progress.done, progress.total)} done",
        *_counted(progress.tasks),
        rate(pace.rate(*progress.tasks)),
        clock(progress.elapsed),
        f"{left} left" if (left := clock(pace.left(*progress.tasks))) else "",
    ]
    told = [f"run {escaped(progress.run_id).plain}: {', '.join(filter(None, parts))}"]
    return "; ".join([*told, *(note.plain for note in _notes(progress))])


def _head(progress: RunProgress, pace: Pace, width: int) -> Text:
    """Return the line about the run as a whole; what matters less is left out where there is no room."""
    short = width < _SHORT_BELOW
    left = clock(pace.left(*progress.tasks))
    parts = [  # from left to right, with their ranks
        (cut(escaped(f"run {progress.run_id}", "bold"), max(12, width // 3)), 1),
        (Text(f"{of_total(progress.done, progress.total, short=short)} done"), 5),
        (Text(rate(pace.rate(*progress.tasks))), 2),
        (Text(clock(progress.elapsed)), 3),
        (Text(f"{left} left" if left else ""), 4),
    ]
    return in_one_line(parts, width)


def _columns(tasks: Sequence[TaskProgress], pace: Pace, *, short: bool) -> list[Column]:
    def cells(texts: Iterable[str], style: str = "") -> list[Text]:
        return [Text(text, style) for text in texts]

    return [
        Column("TASK", [escaped(task.task, _style(task)) for task in tasks]),
        Column("", [_bar(task) for task in tasks], 1),
        Column("DONE", cells(of_total(task.done, task.total, short=short) for task in tasks), 9),
        Column("RUNNING", cells(count(task.running, short=short) for task in tasks), 6),
        Column("FAILED", cells((count(task.failed, short=short) for task in tasks), "bold red"), 8),
        Column("SKIPPED", cells(count(task.skipped, short=short) for task in tasks), 3),
        Column("RETRIED", cells((count(task.retried, short=short) for task in tasks), "yellow"), 5),
        Column("CACHED", cells(count(task.cached, short=short) for task in tasks), 4),
        Column("RATE", cells(rate(pace.rate(task)) for task in tasks), 2),
        Column("LEFT", cells(clock(pace.left(task)) for task in tasks), 7),
    ]


def _style(task: TaskProgress) -> str:
    if task.failed:
        return "red"
    if task.running:
        return "bold"
    return "green" if _is_complete(task) else ""


def _is_complete(task: TaskProgress) -> bool:
    return task.total is not None and 0 < task.total <= task.done


def _bar(task: TaskProgress) -> Text:
    """Return a bar, which is empty where nobody knows how many calls there will be."""
    if not task.total:
        return Text("")
    full = min(_BAR, _BAR * task.done // task.total)
    style = "red" if task.failed else "green" if full == _BAR else "cyan"
    return Text.assemble(("━" * full, style), ("━" * (_BAR - full), "bright_black"))


def _chosen(tasks: Sequence[TaskProgress], space: int) -> tuple[list[TaskProgress], list[TaskProgress]]:
    """Return the tasks that are shown where there is no room for all, and the others; both in their order."""

    def matters(number: int) -> tuple[bool, bool, bool]:
        task = tasks[number]
        return bool(task.running), bool(task.failed), bool(task.done) and not _is_complete(task)

    first = {*sorted(range(len(tasks)), key=matters, reverse=True)[:space]}
    return (
        [task for number, task in enumerate(tasks) if number in first],
        [task for number, task in enumerate(tasks) if number not in first],
    )


def _others(others: Sequence[TaskProgress]) -> Text:
    complete = sum(map(_is_complete, others))
    told = [f"{len(others):,} more tasks", f"{complete:,} of them done" if complete else ""]
    return Text(", ".join([*filter(None, told), *_counted(others, ("failed",))]), "dim")


_COUNTED = {
    "running": "running",
    "failed": "failed",
    "retried": "retried",
    "skipped": "skipped",
    "cached": "from cache",
}
"""The counts of a task, and how each is told in a sentence."""


def _counted(tasks: Iterable[TaskProgress], what: Iterable[str] = _COUNTED) -> list[str]:
    """Return how many calls of these tasks are running, failed and so on, as far as there are any."""
    tasks = [*tasks]
    sums = [(sum(getattr(task, each) for task in tasks), _COUNTED[each]) for each in what]
    return [f"{number:,} {told}" for number, told in sums if number]


def _notes(progress: RunProgress) -> Iterator[Text]:
    """Give the lines that say what calls wait for, and what failed last."""
    for each in progress.waiting[:_MOST_WAITING]:
        calls = f" ({each.calls:,} calls)" if each.calls > 1 else ""
        yield Text.assemble(escaped(each.task), " ", escaped(each.reason), calls, style="yellow")
    if len(progress.waiting) > _MOST_WAITING:
        yield Text(f"{len(progress.waiting) - _MOST_WAITING:,} more wait", "yellow")
    failure = progress.last_failure
    if failure is not None:
        word = "retried" if failure.retried else "failed"
        style = "yellow" if failure.retried else "red"
        yield Text.assemble(escaped(failure.task), f" {word}: ", escaped(failure.error), style=style)
