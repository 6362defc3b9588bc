"""Durability: rounds, fan-outs and cache hits in SQLite files, each beside `sqlite3` alone with the same bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import cascade as cs
from cascade.adapters.cache import SqliteCacheBackend
from cascade.adapters.state import Changes, Durability
from observatory.benchmarks.conftest import Watch, repeated
from observatory.contest import Contestants, Run
from observatory.durability import BLOB, BareRuns, cached, durable_fan_out, noting
from observatory.workloads import BY_NAME, Start


async def watched(run: Run) -> object:
    return await run()


SIZES = [10, 100, 1_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("start", list(Start))
@pytest.mark.parametrize("durability", list(Durability))
def test_fan_out(watch: Watch, tmp_path: Path, durability: Durability, start: Start, size: int) -> None:
    contestants = Contestants(BY_NAME["fan_out"], size)
    watch(contestants, durable_fan_out(contestants, start, noting(tmp_path / "runs.db", durability, [])))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("durability", list(Durability))
def test_bare_rows_of_a_fan_out(
    benchmark: BenchmarkFixture, runner: asyncio.Runner, tmp_path: Path, durability: Durability, size: int
) -> None:
    contestants, noted = Contestants(BY_NAME["fan_out"], size), list[Changes]()
    run = durable_fan_out(contestants, Start.AGAIN, noting(tmp_path / "runs.db", durability, noted))
    contestants.check(runner.run(watched(run(1))), 1)
    bare = BareRuns.open(tmp_path / "bare.db", durability)
    repeated(benchmark, bare.write_all, setup=lambda: (([bare.statements(noted)],), {}))
    bare.connection.close()


@pytest.mark.parametrize("size", SIZES)
def test_cache_hits(benchmark: BenchmarkFixture, runner: asyncio.Runner, tmp_path: Path, size: int) -> None:
    cache = SqliteCacheBackend(tmp_path / "cache.db")
    engine = cs.Engine(cache_backend=cache)
    calls = [cached(number).with_cache(cs.ByInputs()) for number in range(size)]
    assert repeated(benchmark, lambda: runner.run(engine.run(calls))) == [BLOB] * size
    runner.run(cache.close())
