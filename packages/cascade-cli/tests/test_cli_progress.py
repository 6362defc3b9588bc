"""Claims about live progress: what a terminal shows while runs go on, and what it shows at their end."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.terminals import Terminal

import cascade as cs
from cascade.cli.progress_display.showing import show_progress

Attach = Callable[..., Terminal]


@pytest.fixture
def attach(monkeypatch: pytest.MonkeyPatch) -> Iterator[Attach]:
    """Return what makes a terminal and lets stderr, and stdout if that is wanted, go there."""
    made: list[Terminal] = []

    def attach(
        columns: int = 120, lines: int = 30, *, stdout: bool = True, has_size: bool = True
    ) -> Terminal:
        terminal = Terminal(columns, lines, has_size=has_size)
        made.append(terminal)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR")
        monkeypatch.setattr(sys, "stderr", terminal.open())
        if stdout:
            monkeypatch.setattr(sys, "stdout", terminal.open())
        return terminal

    yield attach
    for terminal in made:
        if terminal.other_side >= 0:
            monkeypatch.undo()


class Gate:
    """Lets coroutines wait until a test has seen what it looks for."""

    def __init__(self) -> None:
        self.opened = threading.Event()

    async def wait(self) -> None:
        await asyncio.to_thread(self.opened.wait)


def run_beside(target: Any, **settings: Any) -> Callable[[], Any]:
    """Run a target in a thread; return what waits for its value."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(cs.run(target, progress=True, **settings))
        except BaseException as error:  # noqa: BLE001 - told to the test
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def join() -> Any:
        thread.join()
        return found[0]

    return join


def has(*texts: str) -> Callable[[list[str]], bool]:
    """Return what tells whether one line of a screen has all these texts."""
    return lambda lines: any(all(text in line for text in texts) for line in lines)


@pytest.mark.parametrize("columns", [40, 120])
def test_a_task_is_one_line_however_many_calls_it_has(attach: Attach, columns: int) -> None:
    """A map and a loop are one line each, with how many are done, and no line is wider than the terminal."""
    terminal, gate = attach(columns), Gate()

    @cs.task
    async def fetch(index: int) -> int:
        if index == 999:
            await gate.wait()
        return index

    @cs.task
    def total(values: list[int]) -> int:
        return sum(values)

    join = run_beside(total(fetch.map(index=range(1000))))
    count = "999/1,000" if columns == 120 else "999/1k"
    shown = terminal.wait_for(has("fetch", count, "1"))
    assert len([line for line in shown if "fetch" in line]) == 1
    assert has("total", "0/1")(shown)
    assert has("999/" if columns == 120 else "done")(shown)
    gate.opened.set()
    assert join() == sum(range(1000))
    ended = terminal.close()
    assert has("succeeded after", "1,001 calls")(ended)
    assert not any("999/" in line for line in ended), "the drawing is erased at the end"


def test_a_million_calls_are_folded(attach: Attach) -> None:
    """A map of a million items is one line of the summary, and of the display."""
    terminal = attach(40)

    @cs.task
    def same(value: int) -> int:
        return value

    cs.run(same.map(value=range(1_000_000)), progress=True)
    ended = terminal.close()
    assert has("same", "1,000,000")(ended)
    assert len(ended) < 8


@pytest.mark.parametrize("columns", [40, 120])
def test_a_thousand_tasks_fit_the_screen(attach: Attach, columns: int) -> None:
    """Where there are more tasks than lines those that run are shown, and the others are counted."""
    terminal, gate = attach(columns, 24), Gate()

    def made(number: int) -> Any:
        @cs.task(name=f"task_{number}")
        async def work() -> int:
            if number == 777:
                await gate.wait()
            return number

        return work()

    join = run_beside([made(number) for number in range(1000)])
    shown = terminal.wait_for(has("more tasks"))
    assert has("task_777")(shown)
    assert len(shown) <= 24
    gate.opened.set()
    assert join() == list(range(1000))
    ended = terminal.close()
    assert has("1,001 calls")(ended)  # that of the list is one
    assert has("more tasks took less time")(ended)


def test_what_failed_ran_again_or_came_from_the_cache_is_counted(attach: Attach) -> None:
    """Failed calls, retries and values from the cache have columns of their own, and the last failure is told."""
    terminal, gate, left = attach(), Gate(), [1]

    @cs.task(cache=cs.ByInputs())
    def known(value: int) -> int:
        return value

    @cs.task(retry=2)
    def flaky(value: int) -> int:
        if left:
            left.pop()
            raise ValueError("[bold]not yet[/bold]")
        return value

    @cs.task
    async def wait(value: int) -> int:
        await gate.wait()
        return value

    join = run_beside(wait(flaky(known(1).after(known(1)))))
    shown = terminal.wait_for(has("flaky retried: ValueError: [bold]not yet[/bold]"))
    assert has("TASK", "RETRIED")(shown)
    gate.opened.set()
    assert join() == 1
    ended = terminal.close()
    assert has("1 retry")(ended)


def test_it_shows_what_the_run_waits_for(attach: Attach) -> None:
    """A slot or an amount that calls wait for is told, with how many wait."""
    terminal, gate = attach(), Gate()

    @cs.task
    async def train(value: int) -> int:
        await gate.wait()
        return value

    calls = [train(value).with_constraints(gpu=1) for value in range(4)]
    join = run_beside(calls, system_resources={"gpu": 1})
    terminal.wait_for(has("train waits for gpu=1 (3 calls)"))
    gate.opened.set()
    assert join() == [0, 1, 2, 3]
    assert not has("waits for")(terminal.close())


@pytest.mark.parametrize("columns", [40, 120])
def test_output_of_tasks_does_not_tear_it(attach: Attach, columns: int) -> None:
    """What tasks print and log, on either stream and from any thread, stands above the display, line by line."""
    terminal, gate = attach(columns), Gate()
    handler = logging.StreamHandler()  # it keeps the stream, as those of a program do that were made before
    logger = logging.getLogger("test_cli_progress")
    logger.addHandler(handler)

    @cs.task(mode="thread")
    def say(index: int) -> int:
        time.sleep(0.002)
        print(f"printed {index}")  # noqa: T201 - what tasks do
        print(f"error {index}", file=sys.stderr)  # noqa: T201 - what tasks do
        logger.warning("logged %s", index)
        return index

    @cs.task
    async def wait(values: list[int]) -> int:
        print("begun but not ended", end="")  # noqa: T201 - what tasks do
        await gate.wait()
        return len(values)

    try:
        join = run_beside(wait(say.map(index=range(150))))
        shown = terminal.wait_for(has("say", "150/150"))
        assert len([line for line in shown if "150/150" in line and "say" in line]) == 1
        gate.opened.set()
        assert join() == 150
    finally:
        logger.removeHandler(handler)
    sys.stdout.write("afterwards\n")
    ended = terminal.close()
    for index in range(150):
        for word in ("printed", "error", "logged"):
            assert ended.count(f"{word} {index}") == 1
    assert "begun but not ended" in ended
    assert ended[-1] == "afterwards"
    assert not any("150/150" in line for line in ended), "nothing is left of what was drawn"


def test_a_stream_that_goes_elsewhere_is_left_alone(
    attach: Attach, capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes into a file or a pipe does not come to the terminal."""
    terminal, gate = attach(stdout=False), Gate()

    @cs.task
    async def say() -> None:
        await gate.wait()
        print("into the pipe")  # noqa: T201 - what tasks do

    join = run_beside(say())
    terminal.wait_for(has("say", "0/1"))
    gate.opened.set()
    join()
    assert capsys.readouterr().out == "into the pipe\n"
    assert not has("into the pipe")(terminal.close())


def test_an_inline_call_that_takes_long_does_not_freeze_it(attach: Attach) -> None:
    """While an inline call holds the event loop, the display goes on."""
    terminal = attach()

    @cs.task
    def block() -> str:
        terminal.wait_for(has("0:00"))
        terminal.wait_for(has("0:01"))
        return "done"

    @cs.task
    async def first() -> None:
        await asyncio.sleep(0)

    assert cs.run(block().after(first()), progress=True) == "done"
    ended = terminal.close()
    assert has("block", "1")(ended)


def test_it_ends_as_a_summary(attach: Attach) -> None:
    """At the end stand the calls, the time per task, the slowest calls, the cache and the retries."""
    terminal = attach()

    @cs.task(cache=cs.ByInputs())
    async def nap(index: int) -> int:
        await asyncio.sleep(0.05 if index == 3 else 0.001)
        return index

    cs.run([nap.map(index=range(5)), nap.map(index=range(5))], progress=True)
    ended = terminal.close()
    assert has("succeeded after", "6 calls", "5 from cache")(ended)
    assert has("TASK", "CALLS", "A CALL", "TOTAL", "CACHED")(ended)
    assert has("slowest: nap (", "[3])")(ended)


def test_a_run_that_fails_ends_as_a_summary_too(attach: Attach) -> None:
    """The error comes out as ever, and the summary says that the run failed."""
    terminal = attach()

    @cs.task
    async def fail() -> None:
        await asyncio.sleep(0.3)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        cs.run(fail(), progress=True)
    ended = terminal.close()
    assert has("failed after", "1 call", "1 failed")(ended)
    assert sys.stderr.write == type(sys.stderr).write.__get__(sys.stderr), "the stream is as it was"


def test_runs_at_the_same_time_share_the_screen(attach: Attach) -> None:
    """A run inside of a task is shown below that of the task, and each has a summary."""
    terminal, gate = attach(), Gate()

    @cs.task
    async def inner() -> int:
        await gate.wait()
        return 1

    @cs.task
    async def outer() -> Any:
        return await cs.arun(inner(), progress=True)

    join = run_beside(outer())
    shown = terminal.wait_for(lambda lines: has("inner", "0/1")(lines) and has("outer", "0/1")(lines))
    assert len([line for line in shown if "run " in line]) == 2
    gate.opened.set()
    assert join() == 1
    assert len([line for line in terminal.close() if "succeeded after" in line]) == 2


def test_a_terminal_without_a_size_has_a_usual_one(attach: Attach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the terminal reports no size, 80 columns are taken."""
    monkeypatch.delenv("COLUMNS")
    terminal, gate = attach(80, 24, has_size=False), Gate()

    @cs.task
    async def wait() -> int:
        await gate.wait()
        return 1

    join = run_beside(wait())
    terminal.wait_for(has("wait", "0/1"))
    gate.opened.set()
    assert join() == 1
    terminal.close()


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "xterm")])
def test_no_color_has_no_colours(
    attach: Attach, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    """With `NO_COLOR` nothing is coloured, and the display is there all the same."""
    terminal, gate = attach(), Gate()
    monkeypatch.setenv(variable, value)

    @cs.task
    async def wait() -> int:
        await gate.wait()
        return 1

    join = run_beside(wait())
    terminal.wait_for(has("wait", "0/1"))
    gate.opened.set()
    join()
    terminal.close()
    is_coloured = re.search(rb"\x1b\[([0-9;]*;)?(3|9)[0-7]m", terminal.raw) is not None
    assert is_coloured is (variable != "NO_COLOR")


def test_a_dumb_terminal_gets_plain_lines(attach: Attach, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where lines can't be drawn over again there are plain lines, without any code for terminals."""
    terminal = attach()
    monkeypatch.setenv("TERM", "dumb")

    @cs.task
    async def nap() -> None:
        await asyncio.sleep(0.4)

    cs.run(nap(), progress=True)
    assert has("succeeded after", "1 call")(terminal.close())
    assert b"\x1b" not in terminal.raw


def test_the_cursor_is_never_hidden(attach: Attach) -> None:
    """A program that is killed leaves the terminal as it was."""
    terminal = attach()

    @cs.task
    async def nap() -> None:
        await asyncio.sleep(0.4)

    cs.run(nap(), progress=True)
    terminal.close()
    assert b"\x1b[?25l" not in terminal.raw


HOSTILE = [
    "[red]x[/red]",
    "\x1b[31mred",
    "\x1b]0;title\x07",
    "\u202eevil",
    "a\nb\rc",
    "\x9b2J",
    "[/]",
    "tab\there",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_and_errors_are_shown_as_text(attach: Attach, name: str) -> None:
    """Nothing in a name or an error is obeyed, by the terminal or as markup."""
    terminal, gate = attach(120), Gate()

    @cs.task(name=name, retry=2)
    async def hostile(left: list[int]) -> int:
        if left:
            left.pop()
            raise ValueError(name)
        await gate.wait()
        return 1

    join = run_beside(hostile([1]))
    terminal.wait_for(has("retried: ValueError"))
    gate.opened.set()
    assert join() == 1
    ended = terminal.close()
    shown = " ".join(name.split())
    shown = "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)
    assert has(shown)(ended)
    for bad in (b"\x1b]0;", "\u202e".encode(), b"\x9b", b"\x1b[31mred"):
        assert bad not in terminal.raw


def test_values_are_not_shown(attach: Attach) -> None:
    """Neither what a task is given nor what it gives is shown."""
    terminal = attach()

    @cs.task
    async def take(value: str) -> str:
        await asyncio.sleep(0.3)
        return value + "out"

    cs.run(take("canary"), progress=True)
    terminal.close()
    assert b"canary" not in terminal.raw


def test_a_display_that_fails_costs_the_display_alone(caplog: pytest.LogCaptureFixture) -> None:
    """What a display raises is logged, and the run goes on."""

    def broken(read: object) -> Callable[[], None]:
        raise ValueError("no screen")

    @cs.task
    def one() -> int:
        return 1

    assert cs.run(one(), progress=broken) == 1
    assert "no screen" in caplog.text


def test_the_installed_display_is_this_one() -> None:
    """The wheel declares its display in the entry-point group `cascade.progress`."""
    from cascade.runtime.progress.displays import installed_display

    assert installed_display() is show_progress
