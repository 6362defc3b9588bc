"""Many calls of one task: a map of plain functions, and coroutines that sleep, beside their limits."""

from __future__ import annotations

import pytest

from observatory.benchmarks.conftest import Watch
from observatory.contest import Contestants
from observatory.workloads import BY_NAME

SIZES = [10, 100, 1_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["map", "sleepers"])
@pytest.mark.benchmark(group="many calls of one task")
def test_many_calls(name: str, size: int, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.again())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ["map", "sleepers"])
@pytest.mark.benchmark(group="the limit of many calls")
def test_many_calls_limit(name: str, size: int, watch: Watch) -> None:
    contestants = Contestants(BY_NAME[name], size)
    watch(contestants, contestants.limit())
