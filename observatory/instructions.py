"""Instructions a unit, counted by `valgrind --tool=callgrind`: exact where the machine's clock is not.

A side is run in a process of its own for a few repeats and for a few more; the difference is free of the start-up.
"""

from __future__ import annotations

import asyncio
import gc
import re
import subprocess
import sys
from dataclasses import dataclass
from os import environ

from observatory.contest import Contestants, Stopwatch
from observatory.workloads import BY_NAME, Workload

FEW, MORE = 3, 7
"""Repeats. Three warm the engine and the interpreter's own inline caches."""


class NoCountError(RuntimeError):
    """Valgrind gave no count; the text holds what it said."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions a unit of both sides."""

    limit: float
    ours: float

    @property
    def ratio(self) -> float:
        return self.ours / self.limit


def count_instructions(workload: Workload, size: int) -> Instructions:
    """Count both sides of a workload; takes about a minute.

    Raises:
        NoCountError: If valgrind can't do it.
    """
    units = workload.units(size) * (MORE - FEW)
    limit, ours = (
        (_collected(workload, size, side, MORE) - _collected(workload, size, side, FEW)) / units
        for side in ("limit", "ours")
    )
    return Instructions(limit, ours)


def _collected(workload: Workload, size: int, side: str, repeats: int) -> int:
    return collected(["-m", "observatory.instructions", workload.name, str(size), side, str(repeats)])


def collected(arguments: list[str]) -> int:
    """Run Python with these arguments under callgrind; return the instructions that it counted.

    Raises:
        NoCountError: If valgrind can't do it.
    """
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    done = subprocess.run(
        [*valgrind, sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**environ, "PYTHONHASHSEED": "0"},
    )
    found = re.search(r"Collected : (\d+)", done.stderr)
    if done.returncode or found is None:
        raise NoCountError(done.stderr[-2000:])
    return int(found[1])


async def repeat_side(name: str, size: int, side: str, repeats: int) -> None:
    """Run one side that often; this is what valgrind watches."""
    contestants = Contestants(BY_NAME[name], size)
    watch = Stopwatch(contestants)
    run = contestants.limit() if side == "limit" else contestants.again()
    gc.disable()
    for _ in range(repeats):
        await watch.time(run)


if __name__ == "__main__":
    asyncio.run(repeat_side(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
