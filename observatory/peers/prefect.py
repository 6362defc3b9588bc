"""The workloads on Prefect: a flow is plain Python that calls tasks, recorded by a server of its own on this machine.

Its FastAPI is held below the current one, with which the server of this version does not start.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from typing import Any

# Read when Prefect is imported: a database of its own, the server started for the run, nothing printed or sent.
os.environ |= {
    "PREFECT_HOME": tempfile.mkdtemp(prefix="observatory-prefect-"),
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    "PREFECT_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

from prefect import flow, task  # type: ignore[import-not-found,unused-ignore]
from prefect.cache_policies import INPUTS, NO_CACHE, RUN_ID  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main


def lazy(function: Any, **options: Any) -> Any:
    return task(function, cache_policy=NO_CACHE, **options)


def in_flow(body: Any) -> Run:
    run: Run = flow(body)
    return run


add_one, double, total = lazy(work.add_one), lazy(work.double), lazy(work.total)
source, combine, square, nap = lazy(work.source), lazy(work.combine), lazy(work.square), lazy(work.nap)
parity, is_odd, half, triple = lazy(work.parity), lazy(work.is_odd), lazy(work.half), lazy(work.triple)
add_up = lazy(work.add_up, retries=2)


@lazy
def countdown(left: int) -> int:
    return left - 1


def simple_countdown(size: int) -> Run:
    def loop(salt: int) -> Any:
        left = size
        while left:
            left = countdown(left)
        return salt

    return in_flow(loop)


def heavy_countdown(size: int) -> Run:
    def loop(value: int) -> Any:
        left = size
        while left:
            left = countdown(left)
            for _ in range(work.CHAIN_PER_ROUND):
                value = add_one(value)
        return value

    return in_flow(loop)


def mixed_loop(size: int) -> Run:
    def loop(value: int) -> Any:
        for left in range(size, 0, -1):
            routed = half(left) if parity(left) == "even" else triple(left)
            bonus = square(left) if is_odd(left) else 0
            squares = [square(x) for x in range(left, left + work.MAPPED_PER_ROUND)]
            value = add_up(value, routed, bonus, squares)
        return value

    return in_flow(loop)


def chain(size: int) -> Run:
    def steps(value: int) -> Any:
        for _ in range(size):
            value = add_one(value)
        return value

    return in_flow(steps)


def fan_out(size: int) -> Run:
    return in_flow(lambda salt: total([double(value) for value in range(salt, salt + size)]))


def layered_dag(size: int) -> Run:
    def steps(salt: int) -> Any:
        below = [source(value) for value in range(salt, salt + size)]
        for layer in work.layers(size):
            below = [combine(below[a], below[b], below[c]) for a, b, c in layer]
        return total(below)

    return in_flow(steps)


def mapped(size: int) -> Run:
    return in_flow(lambda salt: [square(x) for x in range(salt, salt + size)])


def sleepers(size: int) -> Run:
    async def gather(salt: int) -> Any:
        return await asyncio.gather(*[nap(value) for value in range(salt, salt + size)])

    run = flow(gather)
    return lambda salt: asyncio.run(run(salt))


def durable_chain(size: int) -> Run:
    step = task(work.add_one, cache_policy=INPUTS + RUN_ID, persist_result=True)

    def body(value: int) -> int:
        for _ in range(size):
            value = step(value)
        return value

    return in_flow(body)


def durable_fan_out(size: int) -> Run:
    call = task(work.double, cache_policy=INPUTS + RUN_ID, persist_result=True)
    collect = task(work.total, cache_policy=INPUTS + RUN_ID, persist_result=True)

    def body(first: int) -> Any:
        return collect([call(value) for value in range(first, first + size)])

    return in_flow(body)


PEER = Peer(
    "prefect",
    "prefect",
    {
        "simple_countdown": simple_countdown,
        "heavy_countdown": heavy_countdown,
        "mixed_loop": mixed_loop,
        "chain": chain,
        "fan_out": fan_out,
        "layered_dag": layered_dag,
        "map": mapped,
        "sleepers": sleepers,
        "durable_chain": durable_chain,
        "durable_fan_out": durable_fan_out,
    },
    besides={
        "": "sends the states of flow and task runs to its server, which keeps them in SQLite; results stay in memory",
        "durable_chain": "the same, and writes each result into a file under the key of its call",
        "durable_fan_out": "the same, and writes each result into a file under the key of its call",
    },
    only="its task runners are measured in no map of pools here: all figures have its server's part",
    start=flow(lambda: add_one(0)),
)

if __name__ == "__main__":
    main(PEER)
