"""Lazy results: what making one costs, plain and with policies, beside the bare object."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import cascade as cs
from observatory import bare


@cs.task
def double(value: int) -> int:
    return 2 * value


@cs.task
def is_wanted(value: int) -> bool:
    return value > 0


LIGHTEST = bare.Task(double.func)


@pytest.mark.benchmark(group="one lazy result")
def test_bare_object(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: bare.Lazy(LIGHTEST, (1,), {})).args == (1,)


@pytest.mark.benchmark(group="one lazy result")
def test_bare_call(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: LIGHTEST(1)).args == (1,)


@pytest.mark.benchmark(group="one lazy result")
def test_lazy_result(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: double(1)).args == (1,)


@pytest.mark.benchmark(group="one lazy result")
def test_lazy_result_with_retry(benchmark: BenchmarkFixture) -> None:
    assert benchmark(lambda: double(1).with_retry(2)).policies.retry == cs.RetryPolicy(2)


@pytest.mark.benchmark(group="one lazy result")
def test_lazy_result_with_condition(benchmark: BenchmarkFixture) -> None:
    condition = is_wanted(1)
    assert benchmark(lambda: double(1).run_if(condition)).policies.conditions == (condition,)


@pytest.mark.parametrize("size", [10, 100, 1_000])
@pytest.mark.benchmark(group="one map")
def test_map(benchmark: BenchmarkFixture, size: int) -> None:
    items = list(range(size))
    assert benchmark(lambda: double.map(value=items)).kwargs == {"value": items}
