"""Claims about progress where nothing is drawn over again: lines, their widths, commands, notebooks."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from support.commands import Call, Write

import cascade as cs
from cascade.cli.progress_display.notebook import html_of
from cascade.cli.progress_display.pace import Pace
from cascade.cli.progress_display.plain import FIRST, PlainCanvas
from cascade.cli.progress_display.progress_lines import progress_lines, progress_sentence
from cascade.cli.progress_display.refresher import ShownRun
from cascade.cli.progress_display.summary_lines import summary_lines
from cascade.runtime import Status
from cascade.runtime.progress.run_progress import (
    CallFailure,
    RunProgress,
    SlowCall,
    TaskProgress,
    Waiting,
)
from cascade.spec.errors import CascadeError, MissingWheelError, SpecError

FULL = RunProgress(
    "nightly-2026-11-28",
    75.0,
    tasks=(
        TaskProgress("a_task_with_a_rather_long_name", 1_234_567, 5_000_000, 12, 3, 4, 5, 6, 1000, 12.5),
        TaskProgress("wide: 漢字漢字", 10, None, 1),
        TaskProgress("done", 7, 7),
        TaskProgress("not begun", total=100),
    ),
    waiting=(Waiting("fetch", "waits for gpu=1", 12), Waiting("load", "waits for a slot of max_concurrency")),
    last_failure=CallFailure("fetch", "n1[7]", "ValueError: no such thing, " + "and so on, " * 30),
    slowest=(SlowCall("fetch", "n1[7]", 1.5), SlowCall("load", "n0", 0.002)),
)


def paced(progress: RunProgress, seconds: float = 10.0, calls: int = 100) -> Pace:
    """Return the pace of a run that did so many calls of its first task in the last seconds."""
    pace, (first, *others) = Pace(), progress.tasks
    before = TaskProgress(first.task, first.done - calls, first.total)
    pace.note(RunProgress(progress.run_id, progress.elapsed - seconds, tasks=(before, *others)))
    pace.note(progress)
    return pace


@pytest.mark.parametrize("width", [1, 5, 10, 20, 39, 60, 79, 119, 300])
@pytest.mark.parametrize("height", [1, 2, 3, 5, 24])
def test_lines_fit_any_terminal(width: int, height: int) -> None:
    """No line is wider than the terminal, and there are no more than it has, also of a summary."""
    lines = progress_lines(FULL, paced(FULL), width, height)
    assert 1 <= len(lines) <= height
    for line in [*lines, *summary_lines(FULL, width, 20)]:
        assert cell_len(line.plain) <= width
        assert "\n" not in line.plain


def test_a_line_tells_all_that_is_known_of_a_task() -> None:
    """Done and total, running, failed, skipped, retried, from the cache, rate and time left."""
    lines = [line.plain for line in progress_lines(FULL, paced(FULL), 200, 40)]
    head, line = lines[1].split(), lines[2].split()
    assert head == ["TASK", "DONE", "RUNNING", "FAILED", "SKIPPED", "RETRIED", "CACHED", "RATE", "LEFT"]
    assert [line[0], *line[2:]] == [
        "a_task_with_a_rather_long_name", "1,234,567/5,000,000", "12", "3", "4", "6", "5", "10/s", "4", "d", "08:35:43",
    ]  # fmt: skip


def test_what_is_waited_for_and_what_failed_stand_below() -> None:
    """The notes name the task, what it waits for and how many calls do, and the last failure."""
    lines = [line.plain for line in progress_lines(FULL, paced(FULL), 200, 40)]
    assert "fetch waits for gpu=1 (12 calls)" in lines
    assert "load waits for a slot of max_concurrency" in lines
    assert lines[-1].startswith("fetch failed: ValueError: no such thing")


def test_without_a_total_there_is_no_time_left() -> None:
    """Nobody knows how many rounds a loop will have: the line says how many there were."""
    line = next(line.plain for line in progress_lines(FULL, paced(FULL), 200, 40) if "wide" in line.plain)
    assert line.split()[2] == "10"
    assert "/" not in line


def test_a_million_calls_are_short_in_forty_columns() -> None:
    """Where there is little room, counts are short, and what matters least is left out."""
    lines = [line.plain for line in progress_lines(FULL, paced(FULL), 39, 40)]
    assert any("1.23M/5M" in line for line in lines)
    assert not any("SKIPPED" in line for line in lines)


def test_a_sentence_says_it_in_one_line() -> None:
    """For logs: counts, rate, time left, what is waited for and what failed."""
    sentence = progress_sentence(FULL, paced(FULL))
    for text in ("run nightly-2026-11-28:", "13 running", "3 failed", "6 retried", "5 from cache", "10/s"):
        assert text in sentence
    assert "fetch waits for gpu=1 (12 calls)" in sentence
    assert "\n" not in sentence


def test_a_summary_names_the_slowest_calls_and_the_time_per_task() -> None:
    """Calls, time per task, slowest calls, cache and retries."""
    ended = RunProgress(
        "x", 90.0, Status.SUCCEEDED, FULL.tasks, slowest=FULL.slowest, last_failure=FULL.last_failure
    )
    lines = [line.plain for line in summary_lines(ended, 200, 20)]
    assert lines[0].startswith("run x · succeeded after 1:30 · ")
    assert "5 from cache · 6 retries · 3 failed · 4 skipped" in lines[0]
    assert lines[1].split() == [
        "TASK",
        "CALLS",
        "A",
        "CALL",
        "TOTAL",
        "FAILED",
        "RETRIED",
        "CACHED",
        "SKIPPED",
    ]
    assert "12.5 ms" in lines[2]
    assert lines[-1] == "slowest: fetch (n1[7]) 1.5 s, load (n0) 2 ms"


class Told:
    """A run that is shown by plain lines, at moments that a test chooses."""

    def __init__(self, least: float = 0.0) -> None:
        self.now = RunProgress("x", 0.0, tasks=FULL.tasks)
        self.lines: list[str] = []
        self._canvas = PlainCanvas(lambda lines, progress: self.lines.extend(lines), least)
        self._run = ShownRun(lambda: self.now)

    def at(self, *moments: float) -> list[str]:
        self.lines.clear()
        for moment in moments:
            self.now = RunProgress("x", moment, tasks=FULL.tasks)
            self._canvas.draw([self._run])
        return self.lines

    def end(self, moment: float) -> list[str]:
        self.lines.clear()
        self.now = RunProgress("x", moment, Status.SUCCEEDED, FULL.tasks)
        self._canvas.finish(self._run, [])
        return self.lines


def test_plain_lines_are_few() -> None:
    """The first comes after a while, and the others ever further apart."""
    told = Told()
    assert told.at(FIRST - 0.1) == []
    assert len(told.at(FIRST, FIRST + 1, 2 * FIRST - 1)) == 1
    assert len(told.at(*range(20, 10_000))) < 25
    assert told.end(10_000.0)[0].startswith("run x · succeeded")


def test_of_short_runs_nothing_is_said_unless_it_is_asked_for() -> None:
    """A command whose run ends at once leaves stderr as it was."""
    assert Told(least=1.0).end(0.5) == []
    assert Told(least=1.0).end(1.5) != []
    assert Told().end(0.5) != []


FLOW = """
import cascade as cs

@cs.task
def load(number: int) -> int:
    print("loading", number)
    return number

def workflow():
    return load(7)
"""


@pytest.mark.parametrize(
    ("options", "is_told"), [((), False), (("--progress",), True), (("--no-progress",), False)]
)
def test_a_command_says_plainly_how_its_run_went(
    cascade: Call, write: Write, options: tuple[str, ...], is_told: bool
) -> None:
    """Elsewhere than in a terminal `--progress` gives plain lines on stderr, and the result is alone on stdout."""
    done = cascade("run", *options, str(write("flow.py", FLOW)))
    assert done.out == "loading 7\n7\n"
    assert ("succeeded after" in done.err) is is_told
    assert "\x1b" not in done.err
    if is_told:
        assert "1 call" in done.err
        assert "load" in done.err
    else:
        assert done.err == ""


def test_a_command_line_of_a_script_has_the_option_too(
    call: Call, capsys: pytest.CaptureFixture[str]
) -> None:
    """`cs.cli` makes commands with `--progress`; a script may set `progress=` itself, and the option wins."""

    @cs.task
    def one() -> int:
        return 1

    assert "succeeded after" in call(cs.cli(one()), "--progress").err
    assert "succeeded after" in call(cs.cli(one(), progress=True)).err
    assert "succeeded after" not in call(cs.cli(one(), progress=True), "--no-progress").err
    assert "succeeded after" not in call(cs.cli(one(), progress=False)).err


def test_in_a_log_of_json_progress_is_json(cascade: Call, write: Write) -> None:
    """With `--log-format json` each line of stderr is an object."""
    done = cascade("run", "--progress", "--log-format", "json", str(write("flow.py", FLOW)))
    (record,) = map(json.loads, done.err.splitlines())
    assert record["event"] == "RunProgress"
    assert (record["done"], record["total"]) == (1, 1)
    assert "succeeded after" in record["text"]


def test_in_code_there_are_plain_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    """`cs.run(..., progress=True)` sums up the run on stderr."""

    @cs.task
    def one() -> int:
        return 1

    assert cs.run(one(), progress=True) == 1
    assert "succeeded after" in capsys.readouterr().err
    assert cs.run(one(), progress=False) == 1
    assert capsys.readouterr().err == ""


class Cell:
    """A cell of a notebook that keeps what is shown in it."""

    def __init__(self) -> None:
        self.shown: list[dict[str, str]] = []

    def display(self, bundle: dict[str, str], *, raw: bool, display_id: bool) -> Cell:
        assert raw
        assert display_id
        self.shown.append(bundle)
        return self

    def update(self, bundle: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.shown[-1] = bundle


def test_a_notebook_shows_it_in_its_cell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a notebook the cell has one place for a run, with its summary at the end, and stderr has nothing."""
    cell, ipython, shown = Cell(), ModuleType("IPython"), ModuleType("IPython.display")
    vars(ipython)["get_ipython"] = lambda: SimpleNamespace(kernel=object())
    vars(shown)["display"] = cell.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)

    @cs.task(name="<b>one</b>")
    def one() -> int:
        return 1

    assert cs.run(one(), progress=True) == 1
    (bundle,) = cell.shown
    assert "succeeded after" in bundle["text/plain"]
    assert "&lt;b&gt;one&lt;/b&gt;" in bundle["text/html"]
    assert capsys.readouterr().err == ""


def test_html_has_no_markup_of_the_user() -> None:
    """Names and errors are text in the cell of a notebook."""
    name = "<script>alert(1)</script>[red]"
    progress = RunProgress(name, 1.0, tasks=(TaskProgress(name, 1, 2),))
    html = html_of(progress_lines(progress, Pace(), 110, 30))
    assert "<script>" not in html
    assert "[red]" in html


def test_without_the_wheel_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no wheel has a display, the error says which one has, before anything runs."""
    from cascade.runtime.progress import displays

    made: list[int] = []

    @cs.task
    def one() -> int:
        made.append(1)
        return 1

    displays.installed_display.cache_clear()
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **group: ())
    try:
        with pytest.raises(
            MissingWheelError, match=r"progress=True\) needs cascade-cli: pip install cascade-cli"
        ):
            cs.run(one(), progress=True)
    finally:
        displays.installed_display.cache_clear()
    assert made == []


@pytest.mark.parametrize("wrong", ["yes", 1, 0.5])
def test_progress_is_true_or_false_or_a_function(wrong: Any) -> None:
    """Anything else is refused before anything runs."""

    @cs.task
    def one() -> int:
        return 1

    with pytest.raises(SpecError, match="give True or False, or a function that shows progress"):
        cs.run(one(), progress=wrong)


def test_a_display_of_ones_own_is_called_at_the_beginning_and_at_the_end() -> None:
    """`progress=` takes a function: it may read at any time, and what it returns is called when the run has ended."""
    told: list[Any] = []

    def show(read: Callable[[], RunProgress]) -> Callable[[], None]:
        told.append(read().status)
        return lambda: told.append(read())

    @cs.task
    def one(value: int) -> int:
        return value

    cs.run(one.map(value=range(10)), progress=show)
    assert told[0] is None
    assert told[1].status is Status.SUCCEEDED
    assert told[1].done == 10


def test_a_run_that_never_begins_is_not_shown() -> None:
    """An error before the run begins is told alone."""
    told: list[object] = []

    def show(read: Callable[[], RunProgress]) -> Callable[[], None]:
        told.append(read)
        return lambda: None

    @cs.task
    def one(value: int) -> int:
        return value

    with pytest.raises(CascadeError):
        cs.run(one(1, 2), progress=show)
    assert told == []
