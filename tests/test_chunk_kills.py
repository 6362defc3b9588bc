"""Maps whose items go out in chunks, recorded and killed: no item is lost, none is called again that was recorded."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SLOW = 120.0
"""Seconds for ten moments, after which they count as hanging."""

PROGRAM = """
import sys, pathlib
from support.killed_maps import main
main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]))
"""


def survive(executor: str, moments: int, seed: int, folder: Path) -> None:
    """Try so many moments in a program of its own, which forks."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, executor, str(moments), str(seed), folder],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=SLOW * max(1, moments // 10),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout[-2000:] + done.stderr[-2000:]
    assert len(done.stdout.splitlines()) == moments + 1


@pytest.mark.one_python
@pytest.mark.parametrize(("executor", "moments"), [("threads:2", 5), ("processes:2", 3)])
def test_a_killed_map_goes_on_and_no_recorded_item_is_called_again(
    executor: str, moments: int, tmp_path: Path
) -> None:
    """Killed at some moments, and again while it goes on, a map in a pool ends as if it had not been.

    An item that no driver had recorded may be called once more by the next one. Workers of a driver that is gone end
    without a word. The timeline of a run that goes on has
    the items that it calls, and those that it reads.
    """
    survive(executor, moments, 2026, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("executor", ["threads:2", "processes:2"])
def test_a_killed_map_goes_on_at_very_many_moments(executor: str, tmp_path: Path) -> None:
    """The same at 200 moments, others each time."""
    survive(executor, 200, random.randrange(2**32), tmp_path)
