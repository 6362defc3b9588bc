"""The workloads on Tawazi: a DAG is described once and called often; its nodes run in the calling thread."""

from __future__ import annotations

from typing import Any

from tawazi import Resource, dag, xn  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main


def node(function: Any) -> Any:
    return xn(function, resource=Resource.main_thread)


def total_of(*values: int) -> int:
    return work.total(list(values))


def list_of(*values: int) -> list[int]:
    return list(values)


def chain(size: int) -> Run:
    add_one = node(work.add_one)

    def describe(start: int) -> Any:
        lazy: Any = start
        for _ in range(size):
            lazy = add_one(lazy)
        return lazy

    run: Run = dag(describe)
    return run


def fan_out(size: int) -> Run:
    double, total = node(lambda start, offset: work.double(start + offset)), node(total_of)

    def describe(start: int) -> Any:
        return total(*[double(start, offset) for offset in range(size)])

    run: Run = dag(describe)
    return run


def layered_dag(size: int) -> Run:
    source, combine = node(lambda start, offset: work.source(start + offset)), node(work.combine)
    total = node(total_of)

    def describe(start: int) -> Any:
        below = [source(start, offset) for offset in range(size)]
        for layer in work.layers(size):
            below = [combine(below[a], below[b], below[c]) for a, b, c in layer]
        return total(*below)

    run: Run = dag(describe)
    return run


def mapped(size: int) -> Run:
    square, collect = node(lambda start, offset: work.square(start + offset)), node(list_of)

    def describe(start: int) -> Any:
        return collect(*[square(start, offset) for offset in range(size)])

    run: Run = dag(describe)
    return run


NO_LOOPS = "no loops: a DAG is described once and runs each of its nodes once"

PEER = Peer(
    "tawazi",
    "tawazi",
    {
        "chain": chain,
        "fan_out": fan_out,
        "layered_dag": layered_dag,
        "map": mapped,
    },
    {
        "simple_countdown": NO_LOOPS,
        "heavy_countdown": NO_LOOPS,
        "mixed_loop": f"{NO_LOOPS}; no retry policy",
        "sleepers": "no async tasks: an asynchronous node runs in a thread, and nobody awaits its coroutine",
    },
    besides={"": "profiles and debugs parts of a graph if it is told to"},
    only="measured in memory and in the calling thread alone; it keeps no record of a run",
)

if __name__ == "__main__":
    main(PEER)
