"""Claims about large trees before their first call: they are read and planned in time slices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.solvers.native import NativeSolver
from cascade.graph import Graph, Plan
from cascade.runtime import Engine
from cascade.spec import CallError

SIZE = 60_000
"""So many calls take more than one time slice to read, on any machine: that would be a sixth of a microsecond each."""

Trees = Callable[[Any], Any]


class BegunError(Exception):
    """Ends a run at its first call."""


def _fan_out(call: Any) -> Any:
    return call([call(value) for value in range(SIZE)])


def _many_arguments(call: Any) -> Any:
    return call(*[call(value) for value in range(SIZE)])


def _chain(call: Any) -> Any:
    lazy = call(0)
    for _ in range(SIZE):
        lazy = call(lazy)
    return lazy


def _pairs(call: Any) -> Any:
    return call([call(call(value)) for value in range(SIZE // 2)])


def _shared(call: Any) -> Any:
    below = [call(value) for value in range(200)]
    for _ in range(SIZE // 200):
        below = [call(below[at], below[at - 1], below[at - 7]) for at in range(200)]
    return call(below)


async def turns_before_the_first_call(engine: Engine, tree: Trees, **options: Any) -> int:
    """Return how many turns of the event loop others have before the first call of a run."""
    turns = 0
    seen: list[int] = []

    @cs.task
    def call(*values: object) -> None:
        seen.append(turns)
        raise BegunError

    async def others() -> None:
        nonlocal turns
        while not seen:
            await asyncio.sleep(0)
            turns += 1

    target = tree(call)
    meanwhile = asyncio.create_task(others())
    with pytest.raises(BegunError):
        await engine.run(target, **options)
    await meanwhile
    return seen[0]


@pytest.mark.parametrize("tree", [_fan_out, _many_arguments, _chain, _pairs, _shared])
async def test_others_have_their_turn_while_a_large_tree_is_prepared(tree: Trees) -> None:
    """The event loop is not held until the first call of a large tree: in between it has its turn."""
    async with Engine() as engine:
        assert await turns_before_the_first_call(engine, tree) > 2


async def test_others_have_their_turn_before_a_recorded_run(tmp_path: Path) -> None:
    """That is so for a run that is recorded, whose record takes long as well."""
    async with Engine(state=f"sqlite:///{tmp_path}/runs.db") as engine:
        assert await turns_before_the_first_call(engine, _fan_out, run_id="large") > 6


async def test_a_run_that_is_cancelled_while_it_is_prepared_makes_no_call() -> None:
    """It can be cancelled before its first call, and the engine takes other runs."""
    called = []

    @cs.task
    def call(*values: object) -> int:
        called.append(values)
        return len(values)

    async with Engine() as engine:
        running = asyncio.create_task(engine.run(_fan_out(call)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert called == []
        assert await engine.run(call(1, 2)) == 2


async def test_a_wrong_call_at_the_end_of_a_large_tree_is_found_before_the_first_call() -> None:
    """Reading in time slices or not, a call that does not fit its task ends the run before anything is called."""
    called = []

    @cs.task
    def call(value: object) -> object:
        called.append(value)
        return value

    async with Engine() as engine:
        with pytest.raises(CallError):
            await engine.run(call([*[call(value) for value in range(SIZE)], call(1, 2)]))
    assert called == []


async def test_runs_that_are_prepared_at_one_time_do_not_mix() -> None:
    """Trees of one structure and of others that are prepared by turns have their own values."""

    @cs.task
    def add(*values: int) -> int:
        return sum(values)

    def tree(first: int, size: int) -> cs.LazyResult[int]:
        return add(*[add(value) for value in range(first, first + size)])

    async with Engine() as engine:
        runs = [engine.run(tree(first, size)) for first, size in ((0, SIZE), (7, SIZE), (0, SIZE - 1))]
        sums = await asyncio.gather(*runs)
    assert sums == [sum(range(SIZE)), sum(range(7, 7 + SIZE)), sum(range(SIZE - 1))]


async def test_a_solver_that_builds_on_the_default_one_is_asked() -> None:
    """The default solver works in steps; a class that builds on it gives the plan all the same."""
    asked = []

    class Own(NativeSolver):
        def resolve(self, graph: Graph) -> Plan:
            asked.append(len(graph))
            return super().resolve(graph)

    @cs.task
    def call(*values: object) -> int:
        return len(values)

    async with Engine(solver=Own()) as engine:
        assert await engine.run(call(call(1), call(2))) == 2
    assert asked == [3]
