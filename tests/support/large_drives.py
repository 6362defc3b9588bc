"""A program that drives a recorded run whose large values pass between workers, and tells how its memory grew.

It is killed in the midst of the run when it drives that for the first time.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.adapters.executors.dask import DaskExecutor
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.adapters.executors.ray import RayExecutor
from support.resident_memory import Growth, peak_growth

EXECUTORS: dict[str, Any] = {
    "dask": DaskExecutor,
    "ray": RayExecutor,
    "processes": lambda _: ProcessExecutor(2),
}

_grown: list[Growth] = []


@cs.task
def make(number: int, size: int) -> bytes:
    return bytes([number]) * size


@cs.task
def measure(data: bytes, times: int = 1) -> int:
    return len(data) * data[0] * times


@cs.task(mode="inline")
def killed_first(sizes: list[int], marker: str) -> int:
    """End the process of the run, if it drives that for the first time."""
    if not Path(marker).exists():
        Path(marker).write_text(str(_grown[-1].so_far()))
        os.kill(os.getpid(), signal.SIGKILL)
    return sum(sizes)


def workflow(size: int, marker: str) -> Any:
    """Return four values that workers make and measure, and measure again after the process was killed."""
    values = [make(number, size) for number in range(1, 5)]
    first = killed_first([measure(value) for value in values], marker)
    return cs.gather(first, *[measure(value, 2).after(first) for value in values])


async def main(kind: str, address: str, folder: str, size: int) -> None:
    """Drive the run; print what it gave, and by how many megabytes the peak of the memory has grown."""
    executor: Any = EXECUTORS[kind](address)
    settings: dict[str, Any] = {"values": f"file://{folder}/values"}
    async with cs.Engine(executor=executor, state=f"sqlite:///{folder}/runs.db", **settings) as engine:
        # What the first call brings into this process is not meant.
        await engine.run(measure(make(1, 2_000_000)), run_id=f"warm {os.getpid()}")
        with peak_growth() as grown:
            _grown.append(grown)
            value = await engine.run(workflow(size, f"{folder}/killed"), run_id="r")
    sys.stdout.write(f"> {value} {grown.megabytes}\n")
    await executor.close()


if __name__ == "__main__":
    kind, address, folder, size = sys.argv[1:]
    asyncio.run(main(kind, address, folder, int(size)))
