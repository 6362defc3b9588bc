"""A recorded run that charges in a ledger outside, while its workers or its drivers are killed one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PROGRAM = """
import sys, pathlib
from support.ledgers import main
main(sys.argv[1], pathlib.Path(sys.argv[2]), *sys.argv[3:])
"""
QUICK = "120,0.004,0,45"
"""120 calls of 4 ms, and a kill after every 45 charges."""
FULL = {"workers": "2000,0.02,1,1", "drivers": "2000,0.02,1,20"}
"""2,000 calls of 20 ms, and a kill every second in which something was charged; under drivers so much as gets recorded.

A driver that is killed at the moment of its first charge has recorded nothing: where the machine is so busy that a
driver needs a second to begin, none would ever get on.
"""


def survive(victims: str, pace: str, folder: Path, server: str = "", executor: str = "processes:2") -> None:
    """Let a program of its own, which forks, run and kill."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, victims, folder, server, pace, executor],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        capture_output=True,
        text=True,
        timeout=3_600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert not done.stderr or executor == "dask", done.stderr  # Dask tells of the ports that it has found
    assert "killed" in done.stdout


@pytest.mark.one_python
@pytest.mark.parametrize("victims", ["workers", "drivers"])
def test_nothing_is_lost_and_each_key_is_charged_once_for_each_death(victims: str, tmp_path: Path) -> None:
    """Each key is charged once, and at most once more for each death of its own worker, or of its own driver.

    Half of the calls are items of a map, which go out in chunks, and half are calls of their own. A killed worker is
    an error that the retry policy of its call handles. When a driver is killed, another process goes on with the run:
    no call that was recorded is made again.
    """
    survive(victims, QUICK, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["sqlite", "redis", "postgres"])
@pytest.mark.parametrize("victims", ["workers", "drivers"])
def test_a_run_of_2000_calls_survives_a_kill_every_second(
    victims: str, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The same with a kill every second, under a run of 2,000 calls, in each kind of store."""
    survive(
        victims, FULL[victims], tmp_path, "" if kind == "sqlite" else request.getfixturevalue(f"{kind}_url")
    )


@pytest.mark.soak
@pytest.mark.server
@pytest.mark.parametrize("victims", ["workers", "drivers"])
def test_a_run_on_a_cluster_survives_a_kill_every_second(victims: str, tmp_path: Path) -> None:
    """The same with the workers of a Dask cluster, which the cluster starts anew."""
    pytest.importorskip("distributed")
    survive(victims, FULL[victims], tmp_path, executor="dask")
