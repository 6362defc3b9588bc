"""Tail calls: what a round costs, of one task and of a whole graph, beside its limit."""

from __future__ import annotations

import pytest

from observatory.benchmarks.conftest import Watch
from observatory.contest import Contestants
from observatory.workloads import BY_NAME

LOOPS = ("simple_countdown", "heavy_countdown", "mixed_loop")


@pytest.mark.parametrize("size", [10, 100, 1_000])
@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.benchmark(group="a loop again")
def test_loop(name: str, size: int, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.again())


@pytest.mark.parametrize("size", [10, 100, 1_000])
@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.benchmark(group="the limit of a loop")
def test_loop_limit(name: str, size: int, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.limit())
