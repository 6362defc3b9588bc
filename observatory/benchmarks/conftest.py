"""What the benchmarks share: a loop that stays open between repeats, and a watch for one side of a contest."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, TypeVar

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from observatory.contest import Contestants, Run, Side

R = TypeVar("R")

Watch = Callable[[Contestants, Side], None]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def watch(benchmark: BenchmarkFixture, runner: asyncio.Runner) -> Watch:
    """Benchmark a side, warmed up, each repeat with other literals, and check the answer of the last one."""

    def measure(contestants: Contestants, side: Side) -> None:
        salts, salt = count(1), 0

        def prepare() -> tuple[tuple[Run], dict[str, Any]]:
            nonlocal salt
            salt = next(salts)
            return (side(salt),), {}

        value = repeated(benchmark, lambda run: runner.run(run()), setup=prepare)
        contestants.check(value, salt)

    return measure


def repeated(
    benchmark: BenchmarkFixture,
    function: Callable[..., R],
    setup: Callable[[], tuple[tuple[Any, ...], dict[str, Any]]] | None = None,
) -> R:
    """Benchmark 20 calls after 3 that warm up; return what the last one gave."""
    pedantic: Callable[..., R] = benchmark.pedantic
    return pedantic(function, setup=setup, rounds=20, warmup_rounds=3)
