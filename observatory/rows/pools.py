"""Rows of threads and processes, against the standard library's pools of the same size. The wall's time counts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

import cascade as cs
from cascade.spec.task import Task
from observatory import work
from observatory.rows.calls import engine_side
from observatory.rows.duel import Duel, Prepare, Run, Side
from observatory.rows.pool_tasks import busy, busy_with_retry, busy_with_timeout, square
from observatory.rows.row import Row, Target

WORKERS = os.cpu_count() or 1

MakePool = Callable[[], Executor]


def threads() -> Executor:
    return ThreadPoolExecutor(WORKERS)


def processes() -> Executor:
    return ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"))


def pool_side(make: MakePool, run_all: Callable[[Executor], Callable[[int, int], Any]]) -> Side:
    """Return the side of a bare pool; `run_all` gives from the pool what computes all values, or awaits them."""

    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        with make() as pool:
            compute = run_all(pool)

            def prepare(salt: int) -> Run:
                async def run() -> object:
                    value = compute(size, salt)
                    return await value if asyncio.iscoroutine(value) else value

                return run

            yield prepare

    return Side(opened, work.squares)


def submitted_calls(pool: Executor) -> Callable[[int, int], Any]:
    """Return what hands each call to the pool by `run_in_executor`, and gathers."""

    async def compute(size: int, salt: int) -> list[int]:
        loop = asyncio.get_running_loop()
        return await asyncio.gather(
            *[loop.run_in_executor(pool, work.square, value) for value in range(salt, salt + size)]
        )

    return compute


def mapped(function: Callable[[int], int], chunk: int, pool: Executor) -> Callable[[int, int], Any]:
    """Return what maps with chunks of this size."""
    return lambda size, salt: list(pool.map(function, range(salt, salt + size), chunksize=chunk))


def best_mapped(function: Callable[[int], int], pool: Executor) -> Callable[[int, int], Any]:
    """Return what maps with the chunk size that is the fastest of some, found by trying at the first call."""
    found: list[int] = []

    def compute(size: int, salt: int) -> list[int]:
        if not found:
            list(pool.map(function, range(2 * WORKERS)))  # starts the workers
            found.append(_best_chunk(function, pool, size))
        return list(pool.map(function, range(salt, salt + size), chunksize=found[0]))

    return compute


def _best_chunk(function: Callable[[int], int], pool: Executor, size: int) -> int:
    taken = {}
    for chunk in {max(1, size // (parts * WORKERS)) for parts in (1, 4, 16, 64)}:
        before = time.perf_counter()
        list(pool.map(function, range(size), chunksize=chunk))
        taken[chunk] = time.perf_counter() - before
    return min(taken, key=taken.__getitem__)


def calls_of(task: Task[int]) -> Callable[[], Callable[[int, int], Any]]:
    return lambda: lambda size, salt: cs.gather(*[task(value) for value in range(salt, salt + size)])


def map_of(task: Task[int]) -> Callable[[], Callable[[int, int], Any]]:
    return lambda: lambda size, salt: task.map(x=range(salt, salt + size))


def ours(target: Callable[[], Callable[[int, int], Any]], executor: str) -> Side:
    return engine_side(target, work.squares, executor=f"{executor}:{WORKERS}")


def row(name: str, limit: str, size: int, target: Target, sides: tuple[Side, Side]) -> Row:
    return Row(name, limit, "us/item", size, 20, target, Duel(*sides, clock=time.perf_counter), "pools")


def process_map(name: str, size: int, function: Callable[[int], int], task: Task[int]) -> Row:
    sides = pool_side(processes, partial(best_mapped, function)), ours(map_of(task), "processes")
    limit = "`pool.map` with the best chunk size"
    return row(f"process mode, {name}", limit, size, Target(times=1.15), sides)


ROWS = (
    row(
        "thread mode, trivial calls",
        "`run_in_executor` and gather",
        2_000,
        Target(times=1.3),
        (pool_side(threads, submitted_calls), ours(calls_of(square), "threads")),
    ),
    row(
        "thread mode, trivial map",
        "`Executor.map`",
        10_000,
        Target(times=2),
        (pool_side(threads, partial(mapped, work.square, 1)), ours(map_of(square), "threads")),
    ),
    process_map("trivial map", 10_000, work.square, square),
    process_map("map of 1 ms", 1_000, work.busy, busy),
    process_map("map of 1 ms with a retry that does not fire", 1_000, work.busy, busy_with_retry),
    row(
        "process mode, map of 1 ms with a timeout",
        "`pool.map`, one item a message",
        1_000,
        Target(times=1.15),
        (
            pool_side(processes, partial(mapped, work.busy, 1)),
            ours(map_of(busy_with_timeout), "processes"),
        ),
    ),
)
