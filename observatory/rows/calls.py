"""Rows of calls in the event loop: maps, trees and loops, with what may stand beside each call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import cascade as cs
from cascade.spec.protocols import CachedCall
from observatory import bare, work
from observatory.contest import Contestants
from observatory.rows.counts import count_both
from observatory.rows.duel import Duel, Prepare, Run, Side, plain
from observatory.rows.features import (
    ASYNC,
    ASYNC_LISTENER,
    CONCURRENCY,
    CONSTRAINTS,
    HIT,
    LISTENER,
    MAP_CONCURRENCY,
    MISS,
    OTHER_SPANS,
    PLAIN,
    RESOURCE,
    RETRY,
    SPANS,
    TIMELINE,
    Feature,
)
from observatory.rows.row import Measure, Row, Target
from observatory.rows.shapes import CHAIN, FAN_OUT, MAP, Shape, square
from observatory.workloads import WORKLOADS, Start, Workload

MILLION = 1_000_000


def engine_side(
    target: Callable[[], Callable[[int, int], Any]], answer: Callable[[int, int], object], **settings: Any
) -> Side:
    """Return the side of an engine that knows the structure of what `target` makes from size and salt."""

    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        make = target()
        async with cs.Engine(**settings) as engine:

            def prepare(salt: int) -> Run:
                async def run() -> object:
                    return await engine.run(make(size, salt))

                return run

            yield prepare

    return Side(opened, answer)


# What stands beside a call, against the same without it


def beside(name: str, shape: Shape, feature: Feature, more: float, without: Feature = PLAIN) -> Row:
    """Return the row of what a feature adds to a call."""
    return Row(
        name,
        "the same without it" if without is PLAIN else f"the same, {without.name}",
        f"us/{shape.unit}",
        10_000,
        50,
        Target(more=more),
        Duel(shape.side(without), shape.side(feature)),
        "beside",
    )


BESIDE = (
    beside("map with a timeline", MAP, TIMELINE, 0.3),
    beside("map with a listener on finished tasks", MAP, LISTENER, 1.5),
    beside("map with an OpenTelemetry span", MAP, SPANS, 0.3),
    beside("fan-out with OpenTelemetry spans of other tasks", FAN_OUT, OTHER_SPANS, 0.3),
    beside("chain with a timeline", CHAIN, TIMELINE, 0.3),
    beside("chain with a listener on finished tasks", CHAIN, LISTENER, 1.5),
    beside("fan-out with a timeline", FAN_OUT, TIMELINE, 0.3),
    beside("fan-out with a listener on finished tasks", FAN_OUT, LISTENER, 1.5),
    beside("async calls with a listener on finished tasks", FAN_OUT, ASYNC_LISTENER, 2, without=ASYNC),
    beside("fan-out with a retry that does not fire", FAN_OUT, RETRY, 1),
    beside("map with a run-scoped resource", MAP, RESOURCE, 1),
    beside("map with max_concurrency of its own", MAP, MAP_CONCURRENCY, 1.5),
    beside("map with max_concurrency of the engine", MAP, CONCURRENCY, 1.5),
    beside("fan-out with constraints", FAN_OUT, CONSTRAINTS, 3),
)


# Caches


def keys(size: int, salt: int) -> object:
    """Make the keys of the calls of a map and then make the calls: what no cache could do without."""
    policy, task, call = cs.ByInputs(), KEYED, square
    for value in range(salt, salt + size):
        policy.key(CachedCall(task, (value,), {}))
    return [call(value) for value in range(salt, salt + size)]


KEYED = cs.task(square)


def cached(name: str, feature: Feature, most: float) -> Row:
    return Row(
        name,
        "the keys alone, and the calls",
        "us/item",
        5_000,
        50,
        Target(most=most),
        Duel(plain(keys, work.squares), MAP.side(feature)),
        "beside",
    )


CACHES = (
    cached("map with a cache in memory: miss", MISS, 15),
    cached("map with a cache in memory: hit", HIT, 8),
)


# Maps at any length


def spin(value: int) -> int:
    """Compute for some 20 microseconds."""
    for each in range(400):
        value = (value + each) % work.MODULUS
    return value


def spun(size: int, salt: int) -> list[int]:
    return [spin(value) for value in range(salt, salt + size)]


def map_of_spins() -> Callable[[int, int], Any]:
    task = cs.task(spin)
    return lambda size, salt: task.map(value=range(salt, salt + size))


SPINS = Duel(plain(spun, spun), engine_side(map_of_spins, spun))


def spins(size: int, unit: str, target: Target, measure: Measure) -> Row:
    how = ", instructions" if measure is not SPINS else ""
    name = f"map of {size:,} items of 20 us{how}"
    return Row(name, "a list comprehension", unit, size, 20, target, measure, "maps")


async def nap_both(size: int, salt: int) -> list[int]:
    return await asyncio.gather(*[work.nap(value) for value in range(salt, salt + size)])


async def yield_once(value: int) -> int:
    await asyncio.sleep(0)
    return value


async def yield_all(size: int, salt: int) -> list[int]:
    return await asyncio.gather(*[yield_once(value) for value in range(salt, salt + size)])


def numbers(size: int, salt: int) -> list[int]:
    return list(range(salt, salt + size))


def async_map(function: Callable[[int], Awaitable[int]]) -> Callable[[], Callable[[int, int], Any]]:
    def make() -> Callable[[int, int], Any]:
        task = cs.task(function)
        return lambda size, salt: task.map(value=range(salt, salt + size))

    return make


def pair_tasks() -> Callable[[int, int], Any]:
    first, second = cs.task(work.double), cs.task(work.add_one)

    def pair(value: Any) -> Any:
        return second(first(value))

    return lambda size, salt: cs.map(pair, value=range(salt, salt + size))


def pair_limit(size: int, salt: int) -> list[int]:
    first, second, twice, more = BARE_FIRST, BARE_SECOND, work.double, work.add_one
    values = []
    for value in range(salt, salt + size):
        lazy = second(first(value))  # the user's function makes a tree for each item
        values.append(more(twice(value)))
    del lazy
    return values


BARE_FIRST, BARE_SECOND = bare.Task(work.double), bare.Task(work.add_one)

MAPS = (
    Row(
        "map of 1,000,000 trivial items",
        "an item of a map of 10,000",
        "us/item",
        MILLION,
        200,
        Target(times=1.5),
        Duel(MAP.side(PLAIN), MAP.side(PLAIN), limit_size=10_000),
        "maps",
    ),
    spins(5_000, "instr/item", Target(times=1.03), count_both("observatory.rows.calls", "SPINS")),
    spins(500, "us/item", Target(times=1.1), SPINS),
    spins(5_000, "us/item", Target(times=1.1), SPINS),
    spins(50_000, "us/item", Target(times=1.1), SPINS),
    Row(
        "async map, naps of 10 ms",
        "a bare gather",
        "us/item",
        10_000,
        20,
        Target(times=1.3),
        Duel(plain(nap_both, numbers), engine_side(async_map(work.nap), numbers)),
        "maps",
    ),
    Row(
        "async map, one turn of the event loop",
        "a bare gather",
        "us/item",
        10_000,
        20,
        Target(times=1.3),
        Duel(plain(yield_all, numbers), engine_side(async_map(yield_once), numbers)),
        "maps",
    ),
    Row(
        "cs.map of a tree of two calls",
        "a loop that builds both bare lazy results and makes both calls",
        "us/item",
        10_000,
        50,
        Target(times=3),
        Duel(
            plain(pair_limit, lambda size, salt: [2 * value + 1 for value in numbers(size, salt)]),
            engine_side(pair_tasks, lambda size, salt: [2 * value + 1 for value in numbers(size, salt)]),
        ),
        "maps",
    ),
)


# Loops and single calls


def keyword_round(words_task: Callable[[Any], Any]) -> tuple[Any, Any]:
    add_one = words_task(work.add_one)

    @words_task
    def heavy(left: int, value: int) -> Any:
        if not left:
            return value
        chain = add_one(value=value)
        for _ in range(10):
            chain = add_one(value=chain)
        return heavy(left=left - 1, value=chain)

    return heavy, add_one


def keyword_loop() -> Callable[[int, int], Any]:
    heavy, _ = keyword_round(cs.task)
    return lambda size, salt: heavy(left=size, value=salt)


def keyword_limit(size: int, value: int) -> object:
    heavy, _ = keyword_round(bare.Task)
    body, add = heavy.func, work.add_one
    lazy = heavy(left=size, value=value)
    while True:
        lazy = body(left=lazy.kwargs["left"], value=value)
        if type(lazy) is not bare.Lazy:
            return lazy
        for _ in range(work.CHAIN_PER_ROUND):
            value = add(value=value)


def heavy_answer(size: int, salt: int) -> int:
    return salt + work.CHAIN_PER_ROUND * size


def single_calls(size: int, salt: int) -> object:
    values = []
    for value in range(salt, salt + size):
        lazy = BARE_SECOND(value)
        values.append(lazy.task.func(*lazy.args))
    return values


def runs_of_one_call() -> Side:
    """Return the side that runs one call after another, each a run of its own."""

    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        task = cs.task(work.add_one)
        async with cs.Engine() as engine:

            def prepare(salt: int) -> Run:
                async def run() -> object:
                    return [await engine.run(task(value)) for value in range(salt, salt + size)]

                return run

            yield prepare

    return Side(opened, lambda size, salt: list(range(salt + 1, salt + size + 1)))


LOOPS = (
    Row(
        "loop with 11 calls per round, by keyword",
        "plain Python, by keyword",
        "us/round",
        2_000,
        10,
        Target(times=1.25),
        Duel(plain(keyword_limit, heavy_answer), engine_side(keyword_loop, heavy_answer)),
        "classic",
    ),
    Row(
        "a run of one call on a warm engine",
        "the call and a bare lazy result",
        "us/run",
        1_000,
        10,
        Target(most=6),
        Duel(
            plain(single_calls, lambda size, salt: list(range(salt + 1, salt + size + 1))), runs_of_one_call()
        ),
        "classic",
    ),
)


# The workloads of the pages


def duel_of(workload: Workload, start: Start) -> Duel:
    """Return a workload against its limit."""

    def side(start: Start | None) -> Side:
        @asynccontextmanager
        async def opened(size: int) -> AsyncIterator[Prepare]:
            contestants = Contestants(workload, size)
            async with contestants.engine() as engine:
                yield contestants.limit() if start is None else contestants.ours(start, engine)

        return Side(opened, workload.answer, workload.units)

    return Duel(side(None), side(start), workload.clock)


def workload_row(workload: Workload, start: Start) -> Row:
    """Return the row of a workload that has a page of its own, for one start."""
    return Row(
        f"{workload.name.replace('_', ' ')}, {start}",
        "plain Python",
        f"us/{workload.unit}",
        workload.size,
        5,
        Target(times=workload.targets[start]),
        duel_of(workload, start),
        "classic",
    )


CLASSIC = tuple(workload_row(each, start) for each in WORKLOADS for start in each.targets)

ROWS = (*MAPS, *BESIDE, *CACHES, *LOOPS, *CLASSIC)
