"""Rows of imports and resident memory, in processes of their own, and of what a recorded run does at first."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cascade as cs
from observatory import work
from observatory.contest import WrongAnswerError
from observatory.rows.row import Measure, Reading, Row, Settings, Target

# Imports


def import_seconds(statement: str, folder: Path) -> float:
    """Return the seconds of a fresh interpreter, from its start to its end; compiled modules are in `folder`."""
    unwanted = ("PYTHONDONTWRITEBYTECODE", "PYTHONPATH")
    environment = {key: value for key, value in os.environ.items() if key not in unwanted}
    before = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", statement],
        check=True,
        env={**environment, "PYTHONPYCACHEPREFIX": str(folder / "compiled")},
    )
    return time.perf_counter() - before


def fresh(limit: str, ours: str) -> Measure:
    """Return what starts fresh interpreters by turns, one for each statement, and takes milliseconds."""

    async def measure(size: int, settings: Settings) -> Reading:
        limits, own = list[float](), list[float]()
        for statement in (limit, ours):
            import_seconds(statement, settings.folder)  # compiles the modules
        ends = time.perf_counter() + 2 * settings.seconds
        while len(own) < size or time.perf_counter() < ends:
            limits.append(1e3 * import_seconds(limit, settings.folder))
            own.append(1e3 * import_seconds(ours, settings.folder))
        return Reading(1, limits, own)

    return measure


# Memory

MEMORY = """
import asyncio, gc, sys
import cascade as cs
from observatory import work
size, side = int(sys.argv[1]), sys.argv[2]
items = [1_000_000 + each for each in range(size)]
if side == "limit":
    values = [work.square(item) for item in items]
else:
    values = asyncio.run(cs.Engine().run(cs.task(work.square).map(x=items)))
assert len(values) == size and values[-1] == items[-1] ** 2
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(int(peak[0].split()[1]) * 1024)
"""


def peak_bytes(size: int, side: str) -> int:
    """Return the most memory that a process had resident which maps so many items."""
    run = [sys.executable, "-c", MEMORY, str(size), side]
    done = subprocess.run(run, check=True, capture_output=True, text=True)
    return int(done.stdout)


async def map_memory(size: int, settings: Settings) -> Reading:
    """Weigh the items and results of a map: bytes that an item more makes a process larger at its peak."""
    if not os.path.exists("/proc/self/status"):  # noqa: ASYNC240, PTH110 - takes a microsecond
        return Reading(size, absent="needs /proc")
    few, found = size // 100, []
    for side in ("limit", "ours"):
        many, less = [await asyncio.to_thread(peak_bytes, each, side) for each in (size, few)]
        found.append((many - less) / (size - few))
    return Reading(size, found[:1], found[1:])


# The beginning of a recorded run


class BegunError(Exception):
    """Ends a run at its first call."""


class Beginning:
    """A run of many calls that ends at the first one: how long that takes, and for how long the event loop is held.

    A slice is the processor's time of this thread between two turns of the event loop.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.seconds = 0.0
        self.longest_slice = 0.0
        self._began = 0.0
        self._last = 0.0

    async def measure(self, engine: cs.Engine, **settings: Any) -> None:
        """Begin a run of a fan-out.

        Raises:
            WrongAnswerError: If it never came to its first call.
        """

        @cs.task
        def call(value: int) -> int:
            self.seconds = time.perf_counter() - self._began
            self._note_slice()
            raise BegunError

        target = cs.task(work.total)([call(value) for value in range(self.size)])
        ticker = asyncio.create_task(self._tick())
        await asyncio.sleep(0)
        self._began, self._last = time.perf_counter(), time.thread_time()
        try:
            await engine.run(target, **settings)
        except BegunError:
            pass
        finally:
            ticker.cancel()
        if not self.seconds:
            raise WrongAnswerError("no call was made")

    async def _tick(self) -> None:
        while not self.seconds:
            self._note_slice()
            await asyncio.sleep(0)

    def _note_slice(self) -> None:
        now = time.thread_time()
        if self._began:
            self.longest_slice = max(self.longest_slice, now - self._last)
        self._last = now


def beginning(figure: Callable[[Beginning], float]) -> Measure:
    """Return what begins runs in memory and recorded runs by turns, and takes one figure of each."""

    async def measure(size: int, settings: Settings) -> Reading:
        limits, own = list[float](), list[float]()
        for turn in range(min(3, settings.fewest)):
            for taken, state in (
                (limits, None),
                (own, f"sqlite:///{settings.folder}/beginning-{id(own)}.db"),
            ):
                begun = Beginning(size)
                async with cs.Engine(state=state) as engine:
                    await begun.measure(engine, **({} if state is None else {"run_id": f"run {turn}"}))
                taken.append(figure(begun))
        return Reading(size, limits, own)

    return measure


ROWS = (
    Row(
        "memory of a map of 1,000,000 items",
        "lists of the items and results",
        "B/item",
        1_000_000,
        20_000,
        Target(more=16),
        map_memory,
        "maps",
    ),
    Row(
        "import of cascade.spec",
        "a bare interpreter",
        "ms",
        8,
        2,
        Target(times=2.5),
        fresh("pass", "import cascade.spec"),
        "start",
    ),
    Row(
        "import of cascade.runtime",
        "`import asyncio`",
        "ms",
        8,
        2,
        Target(times=1.7),
        fresh("import asyncio", "import cascade.runtime"),
        "start",
    ),
    Row(
        "recorded run of 100,000 nodes, before its first call",
        "the same run in memory",
        "s",
        100_000,
        500,
        Target(most=0.5),
        beginning(lambda begun: begun.seconds),
        "durable",
    ),
    Row(
        "recorded run of 100,000 nodes, longest time slice before its first call",
        "the same run in memory",
        "ms",
        100_000,
        500,
        Target(most=20),
        beginning(lambda begun: 1e3 * begun.longest_slice),
        "durable",
    ),
)
