"""Runs with a database that rolls back, failed and killed at random: what is called done is in the database."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from support.stores import KINDS

HERE = Path(__file__).parent
SLOW = 120.0
"""Seconds for ten workflows, after which they count as hanging."""

PROGRAM = """
import sys
from support.atomic import main
main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
"""


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest) -> str:
    """The URL of a server, or nothing for stores in files."""
    given: str = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    return given


def survive(begin: int, count: int, folder: Path, server: str) -> None:
    """Try so many random workflows in a program of its own, which forks."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(begin), str(count), folder, server],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=SLOW * max(1, count // 10),
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == count


@pytest.mark.one_python
def test_what_is_called_done_is_in_the_database(server: str, tmp_path: Path) -> None:
    """Whenever a run fails or is killed, in calls, commits or releases, no recorded call lacks its row.

    What is recorded is not made again, and once the run has ended all rows and the value are there.
    """
    survive(2026, 12, tmp_path, server)


@pytest.mark.soak
def test_what_is_called_done_is_in_the_database_at_very_many_moments(server: str, tmp_path: Path) -> None:
    """The same for very many workflows, others each time."""
    survive(random.randrange(10**9), 400, tmp_path, server)
