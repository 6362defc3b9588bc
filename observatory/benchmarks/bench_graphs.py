"""Graphs: a chain, a fan-out and a layered random graph, from cold and again, beside their limits."""

from __future__ import annotations

import pytest

from observatory.benchmarks.conftest import Watch
from observatory.contest import Contestants
from observatory.workloads import BY_NAME, Start

GRAPHS = [
    ("chain", 100),
    ("chain", 1_000),
    ("fan_out", 100),
    ("fan_out", 1_000),
    ("layered_dag", 10),
    ("layered_dag", 30),
]


@pytest.mark.parametrize(("name", "size"), GRAPHS)
@pytest.mark.parametrize("start", Start)
@pytest.mark.benchmark(group="a graph")
def test_graph(name: str, size: int, start: Start, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.ours(start))


@pytest.mark.parametrize(("name", "size"), GRAPHS)
@pytest.mark.benchmark(group="the limit of a graph")
def test_graph_limit(name: str, size: int, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.limit())
