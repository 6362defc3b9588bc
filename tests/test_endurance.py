"""Endurance: a loop of hundreds of thousands of rounds keeps to the memory that it began with."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import asyncio, resource, sys
import cascade as cs
from cascade.runtime import Event

ROUNDS = 300_000
peaks = []

@cs.task
def leaf(n):
    return n

@cs.task
def count(n, last=None):
    if n in (ROUNDS - 1_000, 0):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return count(n - 1, last=leaf(n)) if n else "done"

async def main():
    bus = cs.MessageBus()
    if sys.argv[1] == "heard":
        bus.subscribe(Event, lambda event: None)
    async with cs.Engine(bus=bus) as engine:
        assert await engine.run(count(ROUNDS)) == "done"

asyncio.run(main())
unit = 1 if sys.platform == "darwin" else 1024
print((peaks[1] - peaks[0]) * unit)
"""


@pytest.mark.parametrize("way", ["unheard", "heard"])
def test_a_long_loop_needs_no_more_memory_than_a_short_one(way: str) -> None:
    """Over 300,000 rounds the peak of resident memory grows by less than 1 MB after the first thousand."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 1_000_000
