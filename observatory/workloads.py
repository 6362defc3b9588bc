"""The workloads: what the engine is measured on, each beside its limit.

A workload is written once, in the words of Cascade. Its limit is plain Python that does only what the user's code
does: it builds the same tree of the lightest lazy results there can be, and calls the same functions directly, in an
order that it knows beforehand. `size` is the one thing that varies; `salt` changes literals and never the structure.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from uuid import uuid4

import cascade as cs
from cascade.spec.task import Task
from observatory import bare, work
from observatory.rows.pool_tasks import busy, square


class Start(StrEnum):
    """What a measured run finds: a new engine and a new structure, or an engine that knows the structure."""

    COLD = "cold"
    AGAIN = "again"


class Words(NamedTuple):
    """The words that a workload is written in: Cascade's own, or those of the limit."""

    task: Callable[[Callable[..., Any]], Any]
    router: Callable[..., Any]
    gather: Callable[..., Any]


Make = Callable[[int, int], Any]
"""From size and salt: a lazy result to run; on the limit's side, the value itself or an awaitable of it."""

CASCADE = Words(cs.task, cs.Router, cs.gather)
BARE = Words(bare.Task, bare.Router, bare.gather)


@dataclass(frozen=True, slots=True)
class Workload:
    """One thing to measure. `ours` and `limit` make new tasks each time they are called.

    `size` is that of the requirement, `targets` the most that ours may cost as a ratio to the limit.
    """

    name: str
    about: str
    unit: str
    size: int
    targets: Mapping[Start, float]
    ours: Callable[[], Make]
    limit: Callable[[], Make]
    engine: Callable[[], cs.Engine] = cs.Engine
    clock: Callable[[], float] = time.process_time

    def answer(self, size: int, salt: int) -> object:
        return work.ANSWERS[self.name](size, salt)

    def units(self, size: int) -> int:
        return work.count_units(self.name, size)


def countdown_tasks(words: Words) -> Any:
    @words.task
    def countdown(left: int, answer: int) -> Any:
        return countdown(left - 1, answer) if left else answer

    return countdown


def countdown_limit() -> Make:
    countdown = countdown_tasks(BARE)

    def run(size: int, salt: int) -> Any:
        body = countdown.func
        lazy = countdown(size, salt)
        while type(lazy) is bare.Lazy:
            lazy = body(*lazy.args)
        return lazy

    return run


def heavy_tasks(words: Words) -> Any:
    add_one = words.task(work.add_one)

    @words.task
    def heavy(left: int, value: int) -> Any:
        if not left:
            return value
        chain = add_one(value)
        for _ in range(10):
            chain = add_one(chain)
        return heavy(left - 1, chain)

    return heavy


def heavy_limit() -> Make:
    heavy = heavy_tasks(BARE)

    def run(size: int, value: int) -> Any:
        body, add = heavy.func, work.add_one
        lazy = heavy(size, value)
        while True:
            lazy = body(lazy.args[0], value)
            if type(lazy) is not bare.Lazy:
                return lazy
            for _ in range(11):
                value = add(value)

    return run


def mixed_tasks(words: Words) -> Any:
    parity, is_odd = words.task(work.parity), words.task(work.is_odd)
    half, triple = words.task(work.half), words.task(work.triple)
    square, add_up = words.task(work.square), words.task(work.add_up)

    @words.task
    def mixed(left: int, total: int) -> Any:
        if not left:
            return total
        routed = words.router(selector=parity(left), routes={"even": half(left), "odd": triple(left)})
        bonus = square(left).run_if(is_odd(left), otherwise=0)
        squares = square.map(x=[left, left + 1, left + 2, left + 3, left + 4])
        return mixed(left - 1, add_up(total, routed, bonus, squares).with_retry(2))

    return mixed


def mixed_limit() -> Make:
    mixed = mixed_tasks(BARE)
    routes = {"even": work.half, "odd": work.triple}

    def run(size: int, total: int) -> Any:
        body, parity, is_odd, square = mixed.func, work.parity, work.is_odd, work.square
        lazy = mixed(size, total)
        while True:
            left = lazy.args[0]
            lazy = body(left, total)
            if type(lazy) is not bare.Lazy:
                return lazy
            routed = routes[parity(left)](left)
            bonus = square(left) if is_odd(left) else 0
            total = work.add_up(total, routed, bonus, [square(x) for x in range(left, left + 5)])

    return run


def chain(words: Words) -> Make:
    add_one = words.task(work.add_one)

    def make(size: int, salt: int) -> Any:
        lazy = add_one(salt)
        for _ in range(size - 1):
            lazy = add_one(lazy)
        return lazy

    return make


def chain_limit() -> Make:
    make = chain(BARE)

    def run(size: int, value: int) -> Any:
        lazy = make(size, value)
        add = work.add_one
        for _ in range(size):
            value = add(value)
        del lazy
        return value

    return run


def fan_out(words: Words) -> Make:
    double, total = words.task(work.double), words.task(work.total)

    def make(size: int, salt: int) -> Any:
        return total([double(value) for value in range(salt, salt + size)])

    return make


def fan_out_limit() -> Make:
    make = fan_out(BARE)

    def run(size: int, salt: int) -> Any:
        lazy = make(size, salt)
        call = work.double
        value = work.total([call(value) for value in range(salt, salt + size)])
        del lazy
        return value

    return run


def layered(words: Words) -> Make:
    source, combine, total = words.task(work.source), words.task(work.combine), words.task(work.total)

    def make(size: int, salt: int) -> Any:
        below = [source(value) for value in range(salt, salt + size)]
        for layer in work.layers(size):
            below = [combine(below[a], below[b], below[c]) for a, b, c in layer]
        return total(below)

    return make


def layered_limit() -> Make:
    make = layered(BARE)

    def run(size: int, salt: int) -> Any:
        lazy = make(size, salt)
        first, call = work.source, work.combine
        below = [first(value) for value in range(salt, salt + size)]
        for layer in work.layers(size):
            below = [call(below[a], below[b], below[c]) for a, b, c in layer]
        value = work.total(below)
        del lazy
        return value

    return run


def map_of(task: Any) -> Make:
    def make(size: int, salt: int) -> Any:
        return task.map(x=range(salt, salt + size))

    return make


def map_limit(function: Callable[[int], int]) -> Make:
    make = map_of(bare.Task(function))

    def run(size: int, salt: int) -> Any:
        lazy = make(size, salt)
        return [function(x) for x in lazy.kwargs["x"]]

    return run


def sleepers(words: Words) -> Make:
    sleeper = words.task(work.nap)

    def make(size: int, salt: int) -> Any:
        return words.gather(*[sleeper(value) for value in range(salt, salt + size)])

    return make


def sleepers_limit() -> Make:
    async def run(size: int, salt: int) -> Any:
        return await asyncio.gather(*[work.nap(value) for value in range(salt, salt + size)])

    return run


WORKLOADS: tuple[Workload, ...] = (
    Workload(
        "simple_countdown",
        "a task that returns itself",
        "round",
        20_000,
        {Start.AGAIN: 1.5},
        lambda: countdown_tasks(CASCADE),
        countdown_limit,
    ),
    Workload(
        "heavy_countdown",
        "each round a new chain of 11 dependencies",
        "round",
        2_000,
        {Start.AGAIN: 1.3},
        lambda: heavy_tasks(CASCADE),
        heavy_limit,
    ),
    Workload(
        "mixed_loop",
        "each round a router, a condition, a map of 5 and a retry policy that does not fire",
        "round",
        1_000,
        {Start.AGAIN: 4.0},
        lambda: mixed_tasks(CASCADE),
        mixed_limit,
    ),
    Workload(
        "chain",
        "each task takes the value of the one before",
        "node",
        10_000,
        {Start.COLD: 3.0, Start.AGAIN: 1.5},
        lambda: chain(CASCADE),
        chain_limit,
    ),
    Workload(
        "fan_out",
        "one task takes the values of all others",
        "node",
        10_000,
        {Start.COLD: 3.0, Start.AGAIN: 1.5},
        lambda: fan_out(CASCADE),
        fan_out_limit,
    ),
    Workload(
        "layered_dag",
        "a random graph of as many layers as each is wide, each node with 3 inputs in the layer below",
        "node",
        100,
        {Start.COLD: 4.0, Start.AGAIN: 1.5},
        lambda: layered(CASCADE),
        layered_limit,
    ),
    Workload(
        "map",
        "one task applied to each item",
        "item",
        10_000,
        {Start.COLD: 2.0, Start.AGAIN: 2.0},
        lambda: map_of(cs.task(work.square)),
        lambda: map_limit(work.square),
    ),
    Workload(
        "sleepers",
        "async tasks that sleep 10 ms",
        "task",
        10_000,
        {Start.COLD: 1.3, Start.AGAIN: 1.3},
        lambda: sleepers(CASCADE),
        sleepers_limit,
        clock=time.perf_counter,
    ),
)


# Beside other engines alone: the rows of the table have stricter limits


@cache
def scratch() -> TemporaryDirectory[str]:
    """Return a folder for the files of this process; it is gone when the process ends."""
    return TemporaryDirectory(prefix="cascade-observatory-")


def recording() -> cs.Engine:
    """Return an engine that records in a file of its own and commits what survives the loss of power."""
    return cs.Engine(state=f"sqlite:///{scratch().name}/{uuid4().hex}.db")


def threads() -> cs.Engine:
    return cs.Engine(executor=f"threads:{os.cpu_count()}")


def processes() -> cs.Engine:
    return cs.Engine(executor=f"processes:{os.cpu_count()}")


def in_pool(name: str, about: str, size: int, task: Task[int], engine: Callable[[], cs.Engine]) -> Workload:
    clock, function = time.perf_counter, task.func
    return Workload(
        name, about, "item", size, {}, lambda: map_of(task), lambda: map_limit(function), engine, clock
    )


POOLED = (
    in_pool("thread_map", "one trivial task applied to each item, in threads", 10_000, square, threads),
    in_pool("process_map", "one trivial task applied to each item, in processes", 10_000, square, processes),
    in_pool("process_work", "a task of 1 ms applied to each item, in processes", 1_000, busy, processes),
)
"""Maps in pools with a worker for each core."""


def durable(name: str, about: str, like: Workload) -> Workload:
    clock = time.perf_counter
    return replace(like, name=name, about=about, targets={}, engine=recording, clock=clock)


BY_NAME = {workload.name: workload for workload in WORKLOADS}

DURABLE = (
    durable(
        "durable_chain", "a chain in which each step is kept in a file before the next", BY_NAME["chain"]
    ),
    durable("durable_fan_out", "a fan-out whose calls are kept in a file", BY_NAME["fan_out"]),
)

PAGES = (*WORKLOADS, *POOLED, *DURABLE)
"""All that have a page, beside other engines."""
