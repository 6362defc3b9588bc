"""Claims about what travels with a call, on each executor whose calls are made in other processes.

The executors that need a server are real ones. `test_engine_worker_resources.py` and `test_engine_carried_variables.py`
have more of the same for process pools.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support import worker_resources as shared

import cascade as cs
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.runtime import DriverResourceError


def on_ray() -> Any:
    from cascade.adapters.executors.ray import RayExecutor

    return RayExecutor()


def on_dask() -> Any:
    from cascade.adapters.executors.dask import DaskExecutor

    return DaskExecutor(_addresses["dask"])


MAKERS: dict[str, Callable[[], Any]] = {
    "processes": lambda: ProcessExecutor(1),
    "ray": on_ray,
    "dask": on_dask,
}

CLUSTERS = {"ray": "ray_cluster", "dask": "dask_address"}
"""The fixture that each needs."""


@pytest.fixture(
    scope="session",
    params=["processes", *(pytest.param(each, marks=pytest.mark.server) for each in CLUSTERS)],
)
def where(request: pytest.FixtureRequest) -> str:
    """Give the executors one after another."""
    name: str = request.param
    if name in CLUSTERS:
        _addresses[name] = request.getfixturevalue(CLUSTERS[name])
    return name


_addresses: dict[str, str] = {}


@asynccontextmanager
async def engine_on(where: str, **settings: Any) -> AsyncIterator[cs.Engine]:
    """Give an engine whose calls are made there, with the resources of `support.worker_resources`."""
    executor = MAKERS[where]()
    try:
        async with cs.Engine(executor=executor, **settings) as engine:
            for each in shared.RESOURCES:
                engine.register(each)
            yield engine
    finally:
        await executor.close()


def test_a_call_has_its_facts(where: str) -> None:
    """`cs.current_call()` tells run, task, item, attempt and idempotency key, for single calls and items."""

    async def main() -> None:
        async with engine_on(where) as engine:
            target = cs.gather(shared.facts(7), shared.facts.map([8, 9]))
            single, items = await engine.run(target, run_id="r")
        assert single[:5] == ("r", "facts", None, 1, True)
        assert [item[:5] for item in items] == [("r", "facts", index, 1, True) for index in (0, 1)]
        assert os.getpid() not in [call[5] for call in (single, *items)]

    asyncio.run(main())


def test_a_call_knows_its_attempt(where: str, tmp_path: Path) -> None:
    """A call that is made again is attempt 2, with the same idempotency key."""

    async def main() -> None:
        async with engine_on(where) as engine:
            assert await engine.run(shared.second_attempt(str(tmp_path / "log")).with_retry(1)) == (2, True)

    asyncio.run(main())


def test_log_records_have_the_call(where: str, tmp_path: Path) -> None:
    """A record of `logging` in the worker carries run, task, item and attempt."""

    async def main() -> list[str]:
        async with engine_on(where) as engine:
            return [*await engine.run(shared.logged.map(["a", "b"]), run_id="r")]

    assert asyncio.run(main()) == [f"r logged {item} 1" for item in (0, 1)]


def test_the_trace_goes_along(where: str) -> None:
    """The trace that is current around the run is current in the call."""
    from opentelemetry import trace

    from cascade.runtime.otel import instrument

    around = trace.SpanContext(0xABC, 0xDEF, is_remote=True, trace_flags=trace.TraceFlags(1))

    async def main() -> None:
        async with engine_on(where) as engine:
            instrument(engine)
            with trace.use_span(trace.NonRecordingSpan(around)):
                assert await engine.run([shared.span_here(), shared.span_here()]) == ["abc", "abc"]

    asyncio.run(main())


def test_resources_of_workers(where: str, tmp_path: Path) -> None:
    """They are opened in the worker, one needs another, and their inputs travel; those of the driver are refused."""
    log = tmp_path / "log"

    async def main() -> None:
        async with engine_on(where) as engine:
            params = {"log": str(log), "factor": 3}
            assert await engine.run(shared.scale.map([1, 2]), params=params) == [(3, True), (6, True)]
            assert await engine.run(shared.ask(), params=params) is True
            nested = shared.nested({"models": [cs.inject("model")]})
            assert await engine.run(nested, params=params) == (True, True)
            with pytest.raises(LookupError, match="no such model") as caught:
                await engine.run(shared.use_broken(), params=params)
            assert any("in another process" in note for note in caught.value.__notes__)
            with pytest.raises(DriverResourceError, match="'of_driver'"):
                await engine.run(shared.use_driver(), params=params)

    asyncio.run(main())
    processes = [line.split()[1] for line in log.read_text().splitlines() if line.startswith("+model")]
    assert str(os.getpid()) not in processes
    assert len({*processes}) == len(processes)


def test_the_environment_is_that_of_the_run(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a resource of workers takes from the environment is read where the run is, and sent along as a secret is."""
    monkeypatch.setenv("CASCADE_TEST_CITY", "Oslo")

    async def main() -> None:
        async with engine_on(where) as engine:
            assert await engine.run(shared.use_envied()) == "Oslo"
            assert await engine.run(shared.use_keyed(), params={"token": "hush"}) == "hsuh"

    asyncio.run(main())


def test_variables_that_are_named(where: str) -> None:
    """They are set in the worker, for the call alone, and no others are."""

    async def main() -> None:
        async with engine_on(where, carry={"tenant": shared.tenant}) as engine:
            shared.region.set("here")
            assert await engine.run(shared.seen()) == (None, "nowhere")
            shared.tenant.set({"name": "ada"})
            assert await engine.run(shared.change()) == ({"name": "ada"}, "nowhere")
            assert await engine.run(shared.seen_by.map([1, 2])) == [({"name": "ada"}, "nowhere")] * 2

    asyncio.run(main())


def test_each_call_of_a_chain_has_what_travels(where: str, tmp_path: Path) -> None:
    """Calls that take each other's values may go out together; each has its variables and its resources."""

    async def main() -> None:
        async with engine_on(where, carry={"tenant": shared.tenant}) as engine:
            shared.tenant.set("ada")
            plain: Any = shared.collect_tenant([])
            mixed: Any = shared.collect_tenant([])
            for _ in range(3):
                plain = shared.collect_tenant(plain)
                mixed = shared.collect_tenant(shared.collect(mixed))
            assert await engine.run(plain) == ["ada"] * 4
            found = await engine.run(mixed, params={"log": str(tmp_path / "log")})
            assert found == ["ada", *[("ada", 2), "ada"] * 3]

    asyncio.run(main())


def test_progress_knows_the_calls(where: str) -> None:
    """A timeline has each call that was made there, with its task and worker."""

    async def main() -> None:
        timeline = cs.Timeline()
        async with engine_on(where, timeline=timeline) as engine:
            await engine.run(shared.facts.map([1, 2, 3]), run_id="r")
        assert timeline.tasks()["facts"].calls == 3

    asyncio.run(main())


RELEASING = """
import asyncio, sys
from pathlib import Path
from distributed import LocalCluster
from cascade.adapters.executors.dask import DaskExecutor
import cascade as cs
from support import worker_resources as shared

async def main(address):
    executor = DaskExecutor(address)
    target = [shared.scale.map(range(8)), shared.ask()]
    settings = {"resources": shared.RESOURCES[:2], "params": {"log": sys.argv[1]}}
    await cs.arun(target, executor=executor, **settings)
    await executor.close()

if __name__ == "__main__":
    options = {"n_workers": 1, "threads_per_worker": 2, "dashboard_address": None}
    with LocalCluster(host="127.0.0.1", **options) as cluster:
        asyncio.run(main(cluster.scheduler_address))
"""


@pytest.mark.server
def test_a_worker_of_dask_releases_at_its_end(tmp_path: Path) -> None:
    """All threads of a worker share one resource. A cluster that is closed ends its workers, and these release it."""
    log, program = tmp_path / "log", tmp_path / "releasing.py"
    program.write_text(RELEASING)
    tests = Path(shared.__file__).parents[1]
    subprocess.run(
        [sys.executable, str(program), str(log)], check=True, env={**os.environ, "PYTHONPATH": str(tests)}
    )
    assert shared.notes(log) == ["+model", "+client", "-client", "-model"]


@pytest.mark.server
@pytest.mark.usefixtures("ray_cluster")
def test_workers_of_ray_release_when_the_last_executor_is_closed(tmp_path: Path) -> None:
    """Ray ends workers without a word, so the last executor of the program that is closed has them end in order."""
    log = tmp_path / "log"

    async def main() -> None:
        async with engine_on("ray") as other:
            await other.run(shared.facts(1))
            async with engine_on("ray") as engine:
                await engine.run([shared.scale.map(range(4)), shared.ask()], params={"log": str(log)})
            assert "-model" not in shared.notes(log)  # the other one may need the workers

    asyncio.run(main())
    noted = shared.notes(log)
    assert noted.count("-model") == noted.count("+model") > 0
    assert noted.count("-client") == noted.count("+client") == 1
