"""The engine's loops that run once per node: building, keys, planning, and scheduling the general way.

A state backend that is handed in sees every fact, so its runs go the general way, whatever a structure's fast way
would be: what is measured there is demand, readiness, argument resolving and recording.
"""

from __future__ import annotations

import asyncio

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import cascade as cs
from cascade.adapters.solvers.native import NativeSolver
from cascade.adapters.state import InMemoryStateBackend
from cascade.graph import structure_digest
from observatory.benchmarks.conftest import repeated
from observatory.workloads import BY_NAME

SHAPES = [("chain", 100), ("chain", 1_000), ("fan_out", 1_000), ("layered_dag", 30)]


class HandedIn(InMemoryStateBackend):
    """A backend of the user's own."""


@pytest.mark.parametrize(("name", "size"), SHAPES)
@pytest.mark.benchmark(group="general way: scheduling")
def test_scheduling(benchmark: BenchmarkFixture, runner: asyncio.Runner, name: str, size: int) -> None:
    workload, engine = BY_NAME[name], cs.Engine(state_backend_cls=HandedIn)
    make = workload.ours()

    def run() -> object:
        return runner.run(engine.run(make(size, 1)))

    assert repeated(benchmark, run) == workload.answer(size, 1)


@pytest.mark.parametrize("size", [10, 100])
@pytest.mark.parametrize("name", ["simple_countdown", "heavy_countdown", "mixed_loop"])
@pytest.mark.benchmark(group="general way: rounds")
def test_rounds(benchmark: BenchmarkFixture, runner: asyncio.Runner, name: str, size: int) -> None:
    workload, engine = BY_NAME[name], cs.Engine(state_backend_cls=HandedIn)
    make = workload.ours()

    def run() -> object:
        return runner.run(engine.run(make(size, 1)))

    assert repeated(benchmark, run) == workload.answer(size, 1)


@pytest.mark.parametrize(("name", "size"), SHAPES)
@pytest.mark.benchmark(group="structure: building")
def test_building(benchmark: BenchmarkFixture, name: str, size: int) -> None:
    workload = BY_NAME[name]
    target = workload.ours()(size, 1)
    graph = repeated(benchmark, lambda: cs.build_graph(target))
    assert len(graph.nodes) == workload.units(size)


@pytest.mark.parametrize(("name", "size"), SHAPES)
@pytest.mark.benchmark(group="structure: digest")
def test_digest(benchmark: BenchmarkFixture, name: str, size: int) -> None:
    make = BY_NAME[name].ours()
    target, other = make(size, 1), make(size, 2)
    digest = repeated(benchmark, lambda: structure_digest(target))
    assert digest == structure_digest(other)


@pytest.mark.parametrize(("name", "size"), SHAPES)
@pytest.mark.benchmark(group="structure: planning")
def test_planning(benchmark: BenchmarkFixture, name: str, size: int) -> None:
    graph = cs.build_graph(BY_NAME[name].ours()(size, 1))
    solver = NativeSolver()
    plan = repeated(benchmark, lambda: solver.resolve(graph))
    assert len(plan.order) == len(graph.nodes)
