"""What things weigh: a built graph in bytes a node, a long loop in growth of the process, one lazy result in time."""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from resource import getpagesize
from typing import Any

import cascade as cs
from observatory import bare
from observatory.contest import Timing
from observatory.workloads import BARE, Make, Workload, chain, fan_out

BARE_MAKERS: dict[str, Callable[[], Make]] = {
    "chain": lambda: chain(BARE),
    "fan_out": lambda: fan_out(BARE),
}


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes a node: of the bare tree, of Cascade's lazy tree, and of the graph that is built of it."""

    bare: float
    lazies: float
    graph: float

    @property
    def total(self) -> float:
        return self.lazies + self.graph


def graph_footprint(workload: Workload, nodes: int) -> Footprint:
    """Weigh a chain or a fan-out of that many nodes, its graph built, by tracemalloc."""
    make_bare, make = BARE_MAKERS[workload.name](), workload.ours()
    tracemalloc.start()
    try:
        bare_bytes = _weigh(lambda: make_bare(nodes, 1))[0]
        lazy_bytes, tree = _weigh(lambda: make(nodes, 1))
        graph_bytes = _weigh(partial(cs.build_graph, tree))[0]
    finally:
        tracemalloc.stop()
    return Footprint(bare_bytes / nodes, lazy_bytes / nodes, graph_bytes / nodes)


def _weigh(make: Callable[[], Any]) -> tuple[int, Any]:
    gc.collect()
    before = tracemalloc.get_traced_memory()[0]
    made = make()
    gc.collect()
    return tracemalloc.get_traced_memory()[0] - before, made


async def loop_growth(rounds: int) -> int:
    """Run a countdown and return by how many bytes the process has grown since its first 1,000 rounds, at its peak."""
    resident: list[int] = []

    @cs.task
    def countdown(left: int) -> Any:
        if left == rounds - 1_000 or left % 10_000 == 0:
            resident.append(resident_bytes())
        return countdown(left - 1) if left else 0

    await cs.Engine().run(countdown(rounds))
    return max(resident) - resident[1 if rounds % 10_000 == 0 else 0]


def resident_bytes() -> int:
    """The resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def lazy_timing(limit: str, size: int, seconds: float) -> Timing:
    """Time making lazy results, by calling a task, against making bare objects directly (`object`) or by a `call`."""

    @cs.task
    def ours(value: int) -> int:
        return value

    lightest = bare.Task(ours.func)

    def bare_object() -> None:
        make = bare.Lazy
        for _ in repeat(None, size):
            make(lightest, (1,), {})

    def bare_call() -> None:
        for _ in repeat(None, size):
            lightest(1)

    def our_call() -> None:
        for _ in repeat(None, size):
            ours(1)

    lighter = {"object": bare_object, "call": bare_call}[limit]
    timing = Timing(size, size)
    end = time.perf_counter() + seconds
    while not timing.ours or time.perf_counter() < end:
        timing.limit.append(_time(lighter))
        timing.ours.append(_time(our_call))
    return timing


def _time(run: Callable[[], None]) -> float:
    gc.collect()
    before = time.process_time()
    run()
    return time.process_time() - before
