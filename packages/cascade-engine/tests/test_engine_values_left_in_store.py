"""Claims about large results of recorded runs that nobody here looks at: they stay in the value store.

The record takes digest and size, workers read them there, and the process of the run does not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[3] / "tests"
MEGABYTE = 1 << 20

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads its peak memory as Linux tells it")
SIZES = [
    pytest.param(64, id="64 MB"),
    pytest.param(500, id="500 MB", marks=pytest.mark.soak),
]


def drive(kind: str, address: str, folder: Path, megabytes: int) -> subprocess.CompletedProcess[str]:
    """Drive the run of `support.large_drives` in a process of its own."""
    arguments = [kind, address, str(folder), str(megabytes * MEGABYTE)]
    paths = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", "support.large_drives", *arguments],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def values_in(folder: Path, megabytes: int) -> dict[Path, float]:
    """Return the files of the large values, and when each was written."""
    found = {path: path.stat() for path in (folder / "values").rglob("*") if path.is_file()}
    return {path: status.st_mtime for path, status in found.items() if status.st_size > megabytes * MEGABYTE}


def check_drives(kind: str, address: str, folder: Path, megabytes: int) -> None:
    """Check that neither the process that begins the run grows, nor the one that goes on when that was killed."""
    killed = drive(kind, address, folder, megabytes)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert float((folder / "killed").read_text()) < 10
    values = values_in(folder, megabytes)
    assert len(values) == 4
    ended = drive(kind, address, folder, megabytes)
    assert ended.returncode == 0, ended.stderr
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("> ")]
    value, _, grown = line[2:].rpartition(" ")
    size = megabytes * MEGABYTE
    assert value == str([10 * size, *(2 * number * size for number in range(1, 5))])
    assert float(grown) < 10
    assert values_in(folder, megabytes) == values  # none was made again


@on_linux
@pytest.mark.parametrize("megabytes", SIZES)
def test_large_values_do_not_pass_through_a_driver_with_dask(
    dask_address: str, tmp_path: Path, megabytes: int
) -> None:
    """Four values are made, used, and used again after the driver was killed; its peak grows by less than 10 MB."""
    check_drives("dask", dask_address, tmp_path, megabytes)


@on_linux
@pytest.mark.parametrize("megabytes", SIZES)
def test_large_values_do_not_pass_through_a_driver_with_ray(
    ray_cluster: str, tmp_path: Path, megabytes: int
) -> None:
    """The same with Ray."""
    check_drives("ray", ray_cluster, tmp_path, megabytes)


@on_linux
@pytest.mark.parametrize("megabytes", [pytest.param(16, id="16 MB"), *SIZES[1:]])
def test_large_values_do_not_pass_through_a_driver_with_processes(tmp_path: Path, megabytes: int) -> None:
    """The same with processes on this machine."""
    check_drives("processes", "here", tmp_path, megabytes)
