"""Rows of clusters on loopback, against the bare client of each in the same sitting. The wall's time counts."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import cascade as cs
from observatory import work
from observatory.rows.calls import engine_side
from observatory.rows.duel import Duel, Prepare, Run, Side
from observatory.rows.pool_tasks import square
from observatory.rows.row import Measure, Reading, Row, Settings, Target

Submit = Callable[..., Any]
"""Hands a function and its arguments to a cluster; returns what stands for the value, also in other calls."""

Gather = Callable[[Sequence[Any]], Any]
"""Brings values here, or returns what does so if it is awaited."""

Build = Callable[[Submit, int, int], list[Any]]
"""Submits the calls of a shape, from size and salt; returns those whose values are wanted."""

WORKERS = 2


@cs.task
def source(value: int) -> int:
    return work.source(value)


@cs.task
def add_one(value: int) -> int:
    return work.add_one(value)


@cs.task
def combine(a: int, b: int, c: int) -> int:
    return work.combine(a, b, c)


# Shapes: the same calls for both sides, and what must come out


def ours(task: cs.Task[Any], *args: Any) -> Any:
    return task(*args)


def map_calls(submit: Submit, size: int, salt: int) -> list[Any]:
    return [submit(work.square, value) for value in range(salt, salt + size)]


def chain_calls(submit: Submit, size: int, salt: int, link: Any = work.add_one) -> list[Any]:
    value: Any = salt
    for _ in range(size):
        value = submit(link, value)
    return [value]


def dag_calls(submit: Submit, size: int, salt: int, tasks: Any = (work.source, work.combine)) -> list[Any]:
    first, then = tasks
    below = [submit(first, value) for value in range(salt, salt + size)]
    for layer in work.layers(size):
        below = [submit(then, below[a], below[b], below[c]) for a, b, c in layer]
    return below


def chain_end(size: int, salt: int) -> list[int]:
    return [salt + size]


def dag_end(size: int, salt: int) -> list[int]:
    return dag_calls(lambda function, *args: function(*args), size, salt)


# Clusters: each is there for both sides of a row


@asynccontextmanager
async def dask() -> AsyncIterator[tuple[str, Submit, Gather]]:
    """Open a Dask cluster whose scheduler and workers are processes of their own."""
    from distributed import Client  # noqa: PLC0415 - heavy, and not everywhere

    program = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DASK, str(WORKERS)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert program.stdin is not None
    assert program.stdout is not None
    address = (await program.stdout.readline()).decode().strip()
    connect: Any = Client
    async with connect(address, asynchronous=True, set_as_default=False) as client:

        def submit(function: Any, *args: Any) -> Any:
            return client.submit(function, *args, pure=False)

        yield address.replace("tcp://", "dask://"), submit, client.gather
    program.stdin.close()
    await program.wait()


_DASK = """
import sys
from distributed import LocalCluster

if __name__ == "__main__":
    options = {"n_workers": int(sys.argv[1]), "threads_per_worker": 1, "processes": True}
    with LocalCluster(host="127.0.0.1", dashboard_address=":0", **options) as cluster:
        print(cluster.scheduler_address, flush=True)
        sys.stdin.read()
"""


@asynccontextmanager
async def ray() -> AsyncIterator[tuple[str, Submit, Gather]]:
    """Start Ray on this machine, if the program has not; it is left running: a process starts it once."""
    import ray as bare  # noqa: PLC0415 - heavy, and not everywhere

    if not bare.is_initialized():
        bare.init("local", num_cpus=WORKERS, include_dashboard=False, logging_level=logging.ERROR)
    remote: dict[Any, Any] = {}

    def submit(function: Any, *args: Any) -> Any:
        if function not in remote:
            remote[function] = bare.remote(num_cpus=1)(function)
        return remote[function].remote(*args)

    yield "ray", submit, bare.get


Opened = Callable[[], AbstractAsyncContextManager[tuple[str, Submit, Gather]]]


def bare_side(build: Build, submit: Submit, gather: Gather, answer: Callable[[int, int], object]) -> Side:
    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        def prepare(salt: int) -> Run:
            async def run() -> object:
                values = gather(build(submit, size, salt))
                return await values if asyncio.iscoroutine(values) else values

            return run

        yield prepare

    return Side(opened, answer)


def on(
    cluster: Opened, build: Build, target: Callable[[int, int], Any], answer: Callable[[int, int], object]
) -> Measure:
    """Return what measures a shape on a cluster: bare, and as a workflow."""

    async def measure(size: int, settings: Settings) -> Reading:
        try:
            async with cluster() as (word, submit, gather):
                bare = bare_side(build, submit, gather, answer)
                own = engine_side(lambda: target, answer, executor=word)
                return await Duel(bare, own, clock=time.perf_counter)(size, settings)
        except ImportError as problem:
            return Reading(size, absent=f"{problem.name} is not installed")

    return measure


def rows(name: str, cluster: Opened, bare: str) -> tuple[Row, ...]:
    def row(shape: str, size: int, target: Target, measure: Measure) -> Row:
        return Row(f"{name}: {shape}", bare, "us/call", size, 20, target, measure, "clusters")

    return (
        row(
            "map of 10,000",
            10_000,
            Target(times=1.2),
            on(cluster, map_calls, lambda size, salt: square.map(x=range(salt, salt + size)), work.squares),
        ),
        row(
            "chain of 1,000",
            1_000,
            Target(times=1.2),
            on(cluster, chain_calls, lambda size, salt: chain_calls(ours, size, salt, add_one), chain_end),
        ),
        row(
            "layered DAG, 25 layers of 25",
            25,
            Target(times=1.3),
            on(
                cluster,
                dag_calls,
                lambda size, salt: dag_calls(ours, size, salt, (source, combine)),
                dag_end,
            ),
        ),
    )


ROWS = (*rows("Dask", dask, "`Client.submit` and `gather`"), *rows("Ray", ray, "`remote` and `ray.get`"))
