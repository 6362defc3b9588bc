"""Claims about services whose processes are killed: every run finishes, and only a death costs a second charge."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def check_story(url: str, folder: Path, runs: int, steps: int, kills: int) -> None:
    """Let a service begin so many runs of so many charges and die, and two workers go on, of which so many are killed.

    Each key is charged once, but for charges whose process was killed, and no byte of the store and the log is of the
    secret that all charges take.
    """
    program = [sys.executable, str(TESTS / "support" / "killed_workers.py")]
    told = subprocess.run(
        [*program, url, str(folder), str(runs), str(steps), str(kills)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stdout + told.stderr


def test_killed_workers_lose_nothing(file_url: str, tmp_path: Path) -> None:
    """Of two workers over one file one is killed again and again: every run finishes, nothing is charged too often."""
    check_story(file_url, tmp_path, runs=20, steps=12, kills=5)


@pytest.mark.server
def test_killed_workers_lose_nothing_in_a_server(server_url: str, tmp_path: Path) -> None:
    """The same over a server."""
    check_story(server_url, tmp_path, runs=20, steps=6, kills=2)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(3))
def test_killed_workers_lose_nothing_for_long(every_url: str, tmp_path: Path, number: int) -> None:
    """The same with 50 runs of 40 charges, and thirty deaths."""
    check_story(every_url, tmp_path, runs=50, steps=40 + 2 * number, kills=30)


@pytest.mark.soak
def test_killed_drivers_of_a_long_run_lose_nothing(every_url: str, tmp_path: Path) -> None:
    """The same with one run of 2,000 charges: one worker drives it, and the other one takes over when that one dies."""
    check_story(every_url, tmp_path, runs=1, steps=2_000, kills=20)
