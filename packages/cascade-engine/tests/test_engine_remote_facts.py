"""Claims about what travels with a call, on each executor whose calls are made in other processes.

The executors that need a server are real ones. `test_engine_worker_resources.py` and `test_engine_carried_variables.py`
have more of the same for process pools.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support import worker_resources as shared

import cascade as cs
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.runtime import DriverResourceError
from cascade.runtime.protocols import Executor


def on_ray() -> Any:
    from cascade.adapters.executors.ray import RayExecutor

    return RayExecutor()


MAKERS = {"processes": lambda: ProcessExecutor(1), "ray": on_ray}

CLUSTERS = {"ray": "ray_cluster"}
"""The fixture that each needs."""


@pytest.fixture(params=["processes", *(pytest.param(each, marks=pytest.mark.server) for each in CLUSTERS)])
def where(request: pytest.FixtureRequest) -> str:
    """Give the executors one after another."""
    name: str = request.param
    if name in CLUSTERS:
        request.getfixturevalue(CLUSTERS[name])
    return name


@asynccontextmanager
async def engine_on(where: str, **settings: Any) -> AsyncIterator[cs.Engine]:
    """Give an engine whose calls are made there, with the resources of `support.worker_resources`."""
    executor: Executor = MAKERS[where]()
    try:
        async with cs.Engine(executor=executor, **settings) as engine:
            for each in shared.RESOURCES:
                engine.register(each)
            yield engine
    finally:
        await executor.close()  # type: ignore[attr-defined] # all of these have one


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


def test_progress_knows_the_calls(where: str) -> None:
    """A timeline has each call that was made there, with its task and worker."""

    async def main() -> None:
        timeline = cs.Timeline()
        async with engine_on(where, timeline=timeline) as engine:
            await engine.run(shared.facts.map([1, 2, 3]), run_id="r")
        assert timeline.tasks()["facts"].calls == 3

    asyncio.run(main())
