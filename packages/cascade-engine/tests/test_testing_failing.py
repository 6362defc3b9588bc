"""Claims about stores that fail on demand: at which call, how often, and what a run makes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.runtime import CacheBypassed
from cascade.spec import StoreError
from cascade.spec.durable import DurableStateBackend
from cascade.spec.protocols import StateBackend
from cascade.testing import FailingCache, failing_state

CALLS: list[int] = []


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    CALLS.clear()


@cs.task
def step(n: int) -> int:
    CALLS.append(n)
    return n + 1


def chain() -> cs.LazyResult[int]:
    return step(step(step(0)))


def fails(state: Callable[..., StateBackend]) -> bool:
    """Run the chain on a state; tell whether that failed."""
    try:
        cs.run(chain(), state=state, run_id="r")
    except StoreError as error:
        return "as the test has asked for" in str(error)
    return False


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("stays", [False, True])
def test_a_run_survives_a_failure_at_any_call(tmp_path: Path, after: bool, stays: bool) -> None:
    """Whichever call to the store fails, the run ends with that error, and goes on from what was kept."""
    at, failed = 0, True
    while failed:
        at += 1
        CALLS.clear()
        url = f"sqlite:///{tmp_path / f'{at}.db'}"
        failed = fails(failing_state(url, at, after=after, stays=stays))
        assert cs.run(chain(), state=url, run_id="r") == 3
        assert sorted(set(CALLS)) == [0, 1, 2]
    assert at > 3  # to open, to commit, to close at the least


def test_it_takes_what_makes_a_state_as_well(tmp_path: Path) -> None:
    """A failing state may stand around any state, and is a durable one like it."""
    make = failing_state(failing_state(f"sqlite:///{tmp_path / 'r.db'}", 100), 1)
    assert isinstance(make(run_id="r"), DurableStateBackend)
    with pytest.raises(StoreError):
        cs.run(chain(), state=make, run_id="r")
    assert CALLS == []


@cs.task(cache=cs.ByInputs())
def kept(n: int) -> int:
    CALLS.append(n)
    return n


@pytest.mark.parametrize(("at", "stays"), [(1, False), (2, False), (1, True)])
async def test_a_cache_that_fails_costs_time_and_no_value(at: int, stays: bool) -> None:
    """A cache that fails to find or to keep is told of, and the call is made."""
    bypassed: list[Any] = []
    bus = cs.MessageBus()
    bus.subscribe(CacheBypassed, bypassed.append)

    cache = FailingCache(InMemoryCacheBackend(), at, stays=stays)
    async with cs.Engine(bus=bus, cache_backend=cache) as engine:
        value = [await engine.run(kept(7)) for _ in range(2)]
    assert value == [7, 7]
    assert len(bypassed) == (2 if stays else 1)  # what was not found is not kept either
    assert CALLS == [7, 7]


async def test_entries_of_a_failing_cache_fail_too() -> None:
    """Looking at a cache counts as a call to it; closing it never fails."""
    cache = FailingCache(InMemoryCacheBackend(), 1, after=True)
    with pytest.raises(StoreError):
        await cache.entries("kept")
    assert await cache.entries("kept") == []
    await cache.close()
