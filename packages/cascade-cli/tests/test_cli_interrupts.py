"""Claims about signals: one ends a command in order, two end it at once; nobody else's handlers are touched."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.cli import cli

PATIENCE = 240
"""Seconds after which something that should have happened counts as never happening."""

SCRIPT = """
import asyncio, signal, sys, threading, time
import cascade as cs

@cs.resource
def door():
    try:
        yield
    finally:
        print("closed", flush=True)

@cs.task
async def wait(x=0, door=cs.inject("door")):
    print("waiting", flush=True)
    await asyncio.sleep(600)

@cs.task(mode="thread")
def block(door=cs.inject("door")):
    print("waiting", flush=True)
    time.sleep(600)

@cs.task
def compute(door=cs.inject("door")):
    print("waiting", flush=True)
    while True:
        time.sleep(0.01)

@cs.task(mode="process")
def elsewhere(door=0):
    print("waiting", flush=True)
    time.sleep(600)

@cs.task(mode="thread")
def strike(number):
    print("waiting", flush=True)
    signal.pthread_kill(threading.get_ident(), number)
    time.sleep(600)

@cs.task
def first():
    return 1

@cs.task
def then(x):
    if x == 1 and "go" not in sys.argv:
        return wait(x)
    return "done"

@cs.task
async def many():
    print("waiting", flush=True)
    await asyncio.sleep(600)

def several():
    return [cs.task(name=f"t{n}")(many.func)() for n in range(5)]

if __name__ == "__main__":
"""


@contextmanager
def started(folder: Path, last: str, *args: str) -> Iterator[subprocess.Popen[str]]:
    """Start a script with these lines at its end; it is there when it has said that it waits."""
    script = folder / "waits.py"
    script.write_text(SCRIPT + "".join(f"    {line}\n" for line in last.splitlines()))
    with subprocess.Popen(
        [sys.executable, script, *args],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        start_new_session=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            yield process
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[str]]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err.splitlines()


@pytest.mark.parametrize(("number", "code", "word"), [(2, 130, "Interrupted"), (15, 143, "Terminated")])
def test_a_signal_ends_a_command_in_order(tmp_path: Path, number: int, code: int, word: str) -> None:
    """Ctrl-C and SIGTERM end the run, release its resources and print one line; the exit code tells which it was."""
    with started(tmp_path, "cs.cli(wait(), resources=[door])()") as process:
        process.send_signal(number)
        line = (
            f"{word}: waiting for 'wait' to end (Ctrl-C again ends at once); nothing of the run is recorded"
        )
        assert ended(process) == (code, "closed\n", [line])


def test_a_call_in_a_process_ends_with_the_command(tmp_path: Path) -> None:
    """A call in another process is ended by Ctrl-C, and says nothing of it."""
    with started(tmp_path, "cs.cli(elsewhere())()") as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that is in the foreground
        code, out, err = ended(process)
        assert (code, out, len(err)) == (130, "", 1)
        assert "'elsewhere'" in err[0]


@pytest.mark.skipif(sys.platform == "win32", reason="no signals of single threads there")
@pytest.mark.parametrize(("number", "word"), [(2, "Interrupted"), (15, "Terminated")])
def test_a_signal_that_another_thread_gets_is_seen_at_once(tmp_path: Path, number: int, word: str) -> None:
    """The main thread may be waiting for events: it is woken, whichever thread the system interrupts."""
    with started(tmp_path, f"cs.cli(strike({number}))()") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(f"{word}: waiting for 'strike'")
        process.send_signal(number)
        assert ended(process) == (128 + number, "", [])


def test_what_is_waited_for_is_named_on_one_line(tmp_path: Path) -> None:
    """Of many calls the first ones are named, and the number of the others is told."""
    with started(tmp_path, "cs.cli(several)()") as process:
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
        assert (code, len(err)) == (130, 1)
        assert "waiting for 't0', 't1', 't2' and 2 more to end" in err[0]


@pytest.mark.parametrize("target", ["block", "compute"])
def test_the_second_one_ends_the_program_at_once(tmp_path: Path, target: str) -> None:
    """A call that can't be ended is waited for; the second Ctrl-C does not wait."""
    with started(tmp_path, f"cs.cli({target}(), resources=[door])()") as process:
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline().startswith("Interrupted: waiting for ")
        process.send_signal(signal.SIGINT)
        assert ended(process) == (130, "", [])


def test_a_recorded_run_says_how_to_go_on(tmp_path: Path) -> None:
    """The line has the run's id; with it and the same store the run goes on."""
    settings = ("--state", "sqlite:///runs.db")
    with started(tmp_path, "cs.cli(then(first()), resources=[door])()", *settings) as process:
        process.send_signal(signal.SIGTERM)
        code, _, err = ended(process)
        assert code == 143
        [line] = [each for each in err if each.startswith("Terminated")]
        run_id = line.partition("--run-id ")[2].split()[0]
    listed = subprocess.run(
        [sys.executable, "-m", "cascade.cli", "runs", "list", *settings],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=True,
    )
    assert run_id in listed.stdout


def test_json_lines_tell_it_as_json(tmp_path: Path) -> None:
    """With `--log-format json` the line is JSON like all others."""
    with started(tmp_path, "cs.cli(wait(), resources=[door])()", "--log-format", "json") as process:
        process.send_signal(signal.SIGINT)
        code, _, err = ended(process)
        assert code == 130
        assert all(line.startswith("{") for line in err)
        assert any('"CommandInterrupted"' in line for line in err)


RUN = """
before = [signal.getsignal(number) for number in (2, 15)]
try:
    cs.run({target}, resources=[door])
except KeyboardInterrupt:
    print("interrupted", [signal.getsignal(number) for number in (2, 15)] == before)
"""


def test_run_raises_keyboard_interrupt(tmp_path: Path) -> None:
    """Ctrl-C during `cs.run` is Python's own: `KeyboardInterrupt`, after resources are released."""
    with started(tmp_path, RUN.format(target="wait()")) as process:
        process.send_signal(signal.SIGINT)
        assert ended(process) == (0, "closed\ninterrupted True\n", [])


def test_run_leaves_sigterm_alone(tmp_path: Path) -> None:
    """SIGTERM during `cs.run` does what it does to any Python program: it ends it."""
    with started(tmp_path, RUN.format(target="wait()")) as process:
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (-signal.SIGTERM, "", [])


@cs.task
def handlers() -> Any:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@cs.task
def fail() -> None:
    raise ValueError("no")


@cs.task
def keep(value: list[Any], seen: list[Any]) -> None:
    seen.extend(value)


@pytest.mark.parametrize("fails", [False, True])
def test_the_old_handlers_are_put_back(call: Callable[..., Any], fails: bool) -> None:
    """A command has the signals while it runs, and gives them back however it ends."""
    before = handlers.func()
    seen: list[Any] = []
    target = fail() if fails else keep(handlers(), seen)
    assert call(cli(target)).code == (1 if fails else 0)
    assert handlers.func() == before
    assert fails or all(mine != theirs for mine, theirs in zip(seen, before, strict=True))


def test_an_ignored_signal_stays_ignored(call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that was started in the background ignores Ctrl-C, and a command in it does too."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    seen: list[Any] = []
    try:
        assert call(cli(keep(handlers(), seen))).code == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen[0] is signal.SIG_IGN


def test_a_command_in_a_thread_does_without(call: Callable[..., Any]) -> None:
    """Outside of the main thread, where Python lets nobody set handlers, a command runs without them."""
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.append(call(cli(keep(handlers(), seen))).code))
    thread.start()
    thread.join()
    assert seen[-1] == 0
    assert seen[:2] == handlers.func()
