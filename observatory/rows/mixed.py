"""Rows of mixed trees: inline calls, and what stands beside them in the same tree; the limit is the tree without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.runtime.events import TaskExecutionFinished
from observatory.rows.duel import Duel, Prepare, Run, Side
from observatory.rows.row import Measure, Reading, Row, Settings, Target

Tree = Callable[[int, int], Any]
"""From size and first literal, a tree of so many calls."""

Open = Callable[[], cs.Engine]


@cs.task
def one(value: int) -> int:
    return value


@cs.task
def following(value: int, chosen: int) -> int:
    return value


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task
def true() -> bool:
    return True


@cs.task
async def awaited(value: int) -> int:
    return value


@cs.task(mode="thread")
def threaded(value: int) -> int:
    return value


@cs.task(cache=cs.ByInputs())
def kept(value: int) -> int:
    return value


def fan_out(call: Callable[[int, int], Any]) -> Tree:
    """Return what makes a fan-out; `call` makes the call of an index and a value."""
    return lambda size, first: total([call(index, first + index) for index in range(size)])


def plain(index: int, value: int) -> Any:
    return one(value)


def failing_once() -> Tree:
    """Return what makes a fan-out in which the call in the middle fails at its first attempt."""
    left: list[int] = []

    @cs.task(retry=1)
    def tried(value: int) -> int:
        if left and left[0] == value:
            left.clear()
            raise ValueError(value)
        return value

    def tree(size: int, first: int) -> Any:
        left[:] = [first + size // 2]
        return total([tried(first + index) for index in range(size)])

    return tree


def chains(size: int, first: int) -> Any:
    """Return chains of ten calls in their order; no call wants a value of another, and the last of each is summed."""
    ends = []
    for begin in range(0, size, 10):
        last = one(0)
        for _ in range(begin + 1, min(begin + 10, size) - 1):
            last = one(0).after(last)
        ends.append(one(first).after(last))
    return total(ends)


def conditional(size: int, first: int) -> Any:
    condition = true()
    return total([one(first + index).run_if(condition) for index in range(size)])


def routed(size: int, first: int) -> Any:
    selector, low, high = true(), one(0), one(1)
    router = cs.Router(selector, {True: low, False: high})
    return total([following(first + index, router) for index in range(size)])


def mixed(other: Callable[[int], Any], every: int) -> Tree:
    """Return what makes a fan-out with one call of another kind in so many."""
    return fan_out(lambda index, value: one(value) if index % every else other(value))


def constrained(size: int, first: int) -> Any:
    begin = one(0)
    return total([one(first + index).with_constraints(gpu=1).after(begin) for index in range(size)])


def listening() -> cs.Engine:
    engine = cs.Engine()
    engine.bus.subscribe(TaskExecutionFinished, lambda event: None)
    return engine


def caching() -> cs.Engine:
    return cs.Engine(cache=InMemoryCacheBackend(max_entries=20_000))


def with_gpu() -> cs.Engine:
    return cs.Engine(system_resources={"gpu": 1})


def summed(size: int, first: int) -> int:
    return sum(range(first, first + size))


def summed_ends(size: int, first: int) -> int:
    return first * len(range(0, size, 10))


def side(
    tree: Callable[[], Tree],
    engine: Open = cs.Engine,
    answer: Callable[[int, int], int] = summed,
    same: bool = False,
) -> Side:
    """Return the side of an engine that runs such trees again and again; with `same`, of the same literals."""

    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        make = tree()
        async with engine() as opened_engine:

            def prepare(salt: int) -> Run:
                target = make(size, _first(salt, size, same))

                async def run() -> object:
                    return await opened_engine.run(target)

                return run

            yield prepare

    return Side(opened, lambda size, salt: answer(size, _first(salt, size, same)))


def _first(salt: int, size: int, same: bool) -> int:
    return 0 if same else salt * size


def durable_chains() -> Measure:
    """Return what measures chains in a recorded run against the same without order, recorded as well."""

    async def measure(size: int, settings: Settings) -> Reading:
        def opened() -> cs.Engine:
            path = Path(mkdtemp(dir=settings.folder)) / "runs.db"
            return cs.Engine(state=f"sqlite:///{path}")

        without = side(lambda: fan_out(plain), opened)
        return await Duel(without, side(lambda: chains, opened, summed_ends))(size, settings)

    return measure


def beside(name: str, ours: Side, more: float, without: Side | None = None) -> Row:
    """Return the row of what calls cost more that have something beside them."""
    limit = side(lambda: fan_out(plain)) if without is None else without
    return Row(
        name, "a plain fan-out", "us/call", 10_000, 50, Target(more=more), Duel(limit, ours), "mixed trees"
    )


def cached(name: str, same: bool, most: float) -> Row:
    ours = side(lambda: fan_out(lambda index, value: kept(value)), caching, same=same)
    duel = Duel(side(lambda: fan_out(plain)), ours)
    return Row(name, "a plain fan-out", "us/call", 5_000, 50, Target(most=most), duel, "mixed trees")


ROWS = (
    beside("fan-out in which one retry fires", side(failing_once), 3),
    beside("fan-out with a listener in which one retry fires", side(failing_once, listening), 4.5),
    beside("chains of calls that are ordered", side(lambda: chains, answer=summed_ends), 3),
    beside("fan-out with a condition on each call", side(lambda: conditional), 3),
    beside("fan-out with a router in each call", side(lambda: routed), 3),
    beside("fan-out with one coroutine in ten calls", side(lambda: mixed(awaited, 10)), 3),
    beside("fan-out with one call in a thread in a hundred", side(lambda: mixed(threaded, 100)), 3),
    beside("ordered fan-out with constraints", side(lambda: constrained, with_gpu), 6),
    cached("fan-out with a cache in memory: miss", False, 15),
    cached("fan-out with a cache in memory: hit", True, 8),
    Row(
        "durable chains of calls that are ordered",
        "a durable fan-out",
        "us/call",
        1_000,
        20,
        Target(more=6),
        durable_chains(),
        "mixed trees",
    ),
)
