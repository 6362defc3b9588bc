"""`cascade runs show` and `watch`: how far a run has come that another process drives, from its store alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.commands import Call

import cascade as cs

DRIVER = """
import sys, time
from pathlib import Path
import cascade as cs

@cs.task(version="1")
def quick(number):
    return number

@cs.task(version="1", mode="thread")
def wait(numbers):
    while not Path("go").exists():
        time.sleep(0.02)
    if Path("go").read_text():
        raise ValueError("never shown")
    return len(numbers)

cs.run(wait([quick(number) for number in range(50)]), state="sqlite:///runs.db", run_id="driven")
"""
STATE = ("--state", "sqlite:///runs.db")


@cs.task(version="1")
def give(value: Any) -> Any:
    return value


def shown() -> dict[str, Any]:
    """Return what `cascade runs show` tells of the run, by another process."""
    command = [sys.executable, "-m", "cascade.cli", "runs", "show", "driven", *STATE, "--format", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found: dict[str, Any] = (
        json.loads(done.stdout) if done.returncode == 0 else {"status": "", "progress": None}
    )
    return found


@contextmanager
def driven(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Drive a run in a process, which waits in its last call until there is a file."""
    (folder / "driver.py").write_text(DRIVER)
    process = subprocess.Popen([sys.executable, "driver.py"], stderr=subprocess.PIPE, text=True)
    try:
        ends = time.monotonic() + 60
        while not _is_waiting(shown()) and time.monotonic() < ends:
            time.sleep(0.1)
        yield process
    finally:
        (folder / "go").touch()
        process.communicate(timeout=60)


def _is_waiting(run: dict[str, Any]) -> bool:
    return bool(run["progress"]) and any(task["running"] for task in run["progress"]["tasks"])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_of_another_process_is_shown_and_watched(folder: Path, cascade: Call) -> None:
    """What has ended and what is under way is shown meanwhile; who watches sees the end, and gets its exit code."""
    with driven(folder):
        run = shown()
        assert run["status"] == "running"
        assert {
            task["task"]: (task["done"], task["total"], task["running"]) for task in run["progress"]["tasks"]
        } == {
            "quick": (50, 50, 0),
            "wait": (0, 1, 1),
        }
        assert "quick" in cascade("runs", "show", "driven", *STATE).out
        command = [sys.executable, "-m", "cascade.cli", "runs", "watch", "driven", *STATE]
        watching = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        time.sleep(1)
        assert watching.poll() is None
        (folder / "go").touch()
        _, told = watching.communicate(timeout=60)
    assert watching.returncode == 0
    assert "run driven · succeeded after" in told
    assert "51 calls" in told


def test_watching_a_run_that_fails_or_dies_ends_with_1(folder: Path, cascade: Call) -> None:
    """A failure is told by its type; a run that nobody drives any more is told to be interrupted."""
    with driven(folder) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        outcome = cascade("runs", "watch", "driven", *STATE)
        assert outcome.code == 1
        assert "run driven is interrupted" in outcome.told
    (folder / "go").write_text("fail")
    assert subprocess.run([sys.executable, "driver.py"], capture_output=True, check=False).returncode == 1
    outcome = cascade("runs", "watch", "driven", *STATE)
    assert outcome.code == 1
    assert "failed after" in outcome.told
    assert "never shown" not in outcome.told


def test_a_run_that_has_ended_is_summed_up(folder: Path, cascade: Call) -> None:
    """`show` has the summary that the run had at its end, with the slowest calls."""
    cs.run(give(give(1)), state=STATE[1], run_id="r")
    out = cascade("runs", "show", "r", *STATE).out
    assert "run r · succeeded after" in out
    assert "slowest: give" in out
    assert cascade("runs", "watch", "r", *STATE).code == 0


def test_a_run_that_is_not_there_can_t_be_watched(folder: Path, cascade: Call) -> None:
    """The error names the run and the store."""
    cs.run(give(1), state=STATE[1], run_id="r")
    outcome = cascade("runs", "watch", "none", *STATE)
    assert outcome.code == 2
    assert "has no run 'none'" in outcome.told
