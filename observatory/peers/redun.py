"""The workloads on redun: tasks whose calls are lazy expressions, with its in-memory database and no caching."""

from __future__ import annotations

import logging
import tempfile
from functools import cache
from typing import Any

from redun import Scheduler, task  # type: ignore[import-not-found,unused-ignore]
from redun.config import Config  # type: ignore[import-not-found,unused-ignore]
from redun.task import CacheScope  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main

logging.getLogger("redun").setLevel(logging.CRITICAL)
SCHEDULER = Scheduler()


@cache
def in_file() -> Scheduler:
    """Return a scheduler whose database is a file."""
    config = Config({"backend": {"db_uri": f"sqlite:///{tempfile.mkdtemp()}/redun.db"}})
    scheduler = Scheduler(config=config)
    scheduler.load()
    return scheduler


def lazy(function: Any, **options: Any) -> Any:
    """Return a task. The same call in the next run is no hit: what is measured is running."""
    wrapped = task(name=function.__name__, namespace="observatory", cache_scope=CacheScope.NONE, **options)
    return wrapped(function)


add_one, double, total = lazy(work.add_one), lazy(work.double), lazy(work.total)
source, combine, square, nap = lazy(work.source), lazy(work.combine), lazy(work.square), lazy(work.nap)
parity, is_odd, half, triple = lazy(work.parity), lazy(work.is_odd), lazy(work.half), lazy(work.triple)
add_up = lazy(work.add_up)


@lazy
def countdown(left: int, answer: int) -> Any:
    return countdown(left - 1, answer) if left else answer


@lazy
def heavy(left: int, value: int) -> Any:
    if not left:
        return value
    chain = add_one(value)
    for _ in range(work.CHAIN_PER_ROUND - 1):
        chain = add_one(chain)
    return heavy(left - 1, chain)


def simple_countdown(size: int) -> Run:
    return lambda salt: SCHEDULER.run(countdown(size, salt))


def heavy_countdown(size: int) -> Run:
    return lambda salt: SCHEDULER.run(heavy(size, salt))


def chained(size: int, scheduler: Scheduler) -> Run:
    def run(salt: int) -> Any:
        expression = add_one(salt)
        for _ in range(size - 1):
            expression = add_one(expression)
        return scheduler.run(expression)

    return run


def fanned_out(size: int, scheduler: Scheduler) -> Run:
    return lambda salt: scheduler.run(total([double(value) for value in range(salt, salt + size)]))


def chain(size: int) -> Run:
    return chained(size, SCHEDULER)


def fan_out(size: int) -> Run:
    return fanned_out(size, SCHEDULER)


def durable_chain(size: int) -> Run:
    return chained(size, in_file())


def durable_fan_out(size: int) -> Run:
    return fanned_out(size, in_file())


def layered_dag(size: int) -> Run:
    def run(salt: int) -> Any:
        below = [source(value) for value in range(salt, salt + size)]
        for layer in work.layers(size):
            below = [combine(below[a], below[b], below[c]) for a, b, c in layer]
        return SCHEDULER.run(total(below))

    return run


def mapped(size: int) -> Run:
    return lambda salt: SCHEDULER.run([square(x) for x in range(salt, salt + size)])


def sleepers(size: int) -> Run:
    return lambda salt: SCHEDULER.run([nap(value) for value in range(salt, salt + size)])


PEER = Peer(
    "redun",
    "redun",
    {
        "simple_countdown": simple_countdown,
        "heavy_countdown": heavy_countdown,
        "chain": chain,
        "fan_out": fan_out,
        "layered_dag": layered_dag,
        "map": mapped,
        "sleepers": sleepers,
        "durable_chain": durable_chain,
        "durable_fan_out": durable_fan_out,
    },
    {"mixed_loop": "no retry policy"},
    besides={
        "": "keeps the call graph with arguments and results, by hashes of values and code, in a database in memory",
        "durable_chain": "keeps the call graph with arguments and results, by hashes of values and code, in a file; "
        "its provenance can be asked for",
        "durable_fan_out": "the same; calls run in its pool of threads",
    },
    only="its pools belong to its local executor, whose jobs are part of all figures here",
)

if __name__ == "__main__":
    main(PEER)
