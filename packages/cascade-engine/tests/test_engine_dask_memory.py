"""Large values that pass between two workers of a Dask cluster do not pass through the process of the run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from support.remote_tasks import note, square

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor

MEGABYTE = 1 << 20

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads its peak memory as Linux tells it")


def _peak() -> int:
    """Return the most memory that this process has had since `_forget_peak`, in bytes."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) << 10 for line in status.splitlines() if line.startswith("VmHWM"))


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(32 * MEGABYTE, id="32 MB"),
        pytest.param(500 * MEGABYTE, id="500 MB", marks=pytest.mark.soak),
    ],
)
async def test_large_values_pass_between_workers_alone(dask_address: str, tmp_path: Path, size: int) -> None:
    """Four values pass from one worker to the other, and this process has at most 10 MB more meanwhile."""
    path = str(tmp_path / "processes")

    @cs.task
    def make(size: int, text: str) -> bytes:
        note.func(path, f"{text} {os.getpid()}\n")
        return bytes(size)

    @cs.task
    def join(left: bytes, right: bytes) -> int:
        note.func(path, f"join {os.getpid()}\n")
        return len(left) + len(right)

    async with (
        DaskExecutor(dask_address) as executor,
        cs.Engine(executor=executor, system_resources={"gpu": 8}) as engine,
    ):
        assert await engine.run(square.map(x=[1, 2, 3])) == [1, 4, 9]
        _forget_peak()
        before = _peak()
        for _ in range(4):
            # A call takes all GPUs of a worker: so the two values are made by two workers, and one of them has to move.
            left, right = (make(size, text).with_constraints(gpu=4) for text in ("left", "right"))
            assert await engine.run(join(left, right).with_constraints(gpu=4)) == 2 * size
        assert _peak() - before < 10 * MEGABYTE
    made = [line.split() for line in Path(path).read_text().splitlines()]
    for of_run in (made[start : start + 3] for start in range(0, len(made), 3)):
        processes = dict(of_run)
        assert processes["left"] != processes["right"]
