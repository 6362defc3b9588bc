"""The workloads on Dask: delayed calls and the scheduler of the calling thread, its quickest for small tasks."""

from __future__ import annotations

import os
from typing import Any

from dask.base import compute as _compute
from dask.delayed import delayed

from observatory import work
from observatory.peers.protocol import Peer, Run, main

SCHEDULER = "synchronous"
compute: Any = _compute


def chain(size: int) -> Run:
    add_one = delayed(work.add_one)

    def run(salt: int) -> Any:
        lazy = add_one(salt)
        for _ in range(size - 1):
            lazy = add_one(lazy)
        return lazy.compute(scheduler=SCHEDULER)

    return run


def fan_out(size: int) -> Run:
    double, total = delayed(work.double), delayed(work.total)

    def run(salt: int) -> Any:
        return total([double(value) for value in range(salt, salt + size)]).compute(scheduler=SCHEDULER)

    return run


def layered_dag(size: int) -> Run:
    source, combine, total = (delayed(each) for each in (work.source, work.combine, work.total))

    def run(salt: int) -> Any:
        below = [source(value) for value in range(salt, salt + size)]
        for layer in work.layers(size):
            below = [combine(below[a], below[b], below[c]) for a, b, c in layer]
        return total(below).compute(scheduler=SCHEDULER)

    return run


def mapped(size: int) -> Run:
    square = delayed(work.square)

    def run(salt: int) -> Any:
        return list(compute(*[square(x) for x in range(salt, salt + size)], scheduler=SCHEDULER))

    return run


NO_LOOPS = (
    "no loops: a graph is fixed before it runs, and a task that returns a lazy call has that as its value"
)


def thread_map(size: int) -> Run:
    square = delayed(work.square)

    def run(salt: int) -> Any:
        calls = [square(x) for x in range(salt, salt + size)]
        return list(compute(*calls, scheduler="threads", num_workers=os.cpu_count()))

    return run


PEER = Peer(
    "dask",
    "dask",
    {"chain": chain, "fan_out": fan_out, "layered_dag": layered_dag, "map": mapped, "thread_map": thread_map},
    {
        "simple_countdown": NO_LOOPS,
        "heavy_countdown": NO_LOOPS,
        "mixed_loop": f"{NO_LOOPS}; no conditions, routers or retries in its own schedulers",
        "sleepers": "no async tasks: a delayed coroutine function gives the coroutine, not its value",
    },
    besides={"": "optimizes the graph before it runs: fuses calls and leaves out what nobody needs"},
    only="its own schedulers keep no record of a run, and its processes are for graphs of large parts",
)

if __name__ == "__main__":
    main(PEER)
