"""The order of keyword arguments: no part of a structure, and kept for a function that sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.ways import TIMES, check_all_ways

import cascade as cs
from cascade.graph import build_graph, structure_digest
from cascade.graph.structure_keys import structure_key
from cascade.runtime import Engine, Event, MessageBus


@cs.task
def value(number: int) -> int:
    return number


@cs.task
def minus(x: int, y: int = 0, z: int = 0) -> int:
    return x - y - 10 * z


@cs.task
def names(**kwargs: Any) -> list[str]:
    return [f"{name}={each}" for name, each in kwargs.items()]


@cs.task
def down(left: int, total: int) -> Any:
    if not left:
        return total
    if left % 2:
        return down(left=left - 1, total=total + left)
    return down(total=total + left, left=left - 1)


PAIRS = {
    "literals": (lambda: minus(x=9, y=2), lambda: minus(y=2, x=9)),
    "lazy": (lambda: minus(x=value(9), y=value(2)), lambda: minus(y=value(2), x=value(9))),
    "mixed": (lambda: minus(value(9), y=2, z=value(1)), lambda: minus(value(9), z=value(1), y=2)),
    "nested": (lambda: minus(x=value(9), y=minus(x=2, y=0)), lambda: minus(y=minus(y=0, x=2), x=value(9))),
    "a map": (lambda: minus.map(x=[9, 8], y=[2, 1]), lambda: minus.map(y=[2, 1], x=[9, 8])),
    "a policy": (lambda: minus(x=value(9), y=2).with_retry(1), lambda: minus(y=2, x=value(9)).with_retry(1)),
    "an input": (lambda: minus(x=cs.Param("p", 9), y=2), lambda: minus(y=2, x=cs.Param("p", 9))),
}
pairs = pytest.mark.parametrize(("first", "second"), PAIRS.values(), ids=PAIRS)


@pairs
def test_calls_with_another_order_have_one_structure(first: Any, second: Any) -> None:
    """The keys, the digests and the places of two trees that differ in the order of keywords are equal."""
    trees = [build_graph(make()).tree for make in (first, second)]
    assert None not in trees
    assert structure_key(trees[0]) == structure_key(trees[1])  # type: ignore[arg-type]
    assert structure_digest(first()) == structure_digest(second())
    assert [str(node.structure_path) for node in build_graph(first()).nodes] == [
        str(node.structure_path) for node in build_graph(second()).nodes
    ]


@pairs
async def test_they_give_the_same_and_are_built_once(first: Any, second: Any) -> None:
    """By turns on one engine, heard or not, they give the same values and are one structure."""

    async def main(bus: MessageBus | None) -> tuple[list[Any], int]:
        async with Engine(bus=bus) as engine:
            found = [await engine.run(make()) for _ in range(TIMES) for make in (first, second)]
            return found, engine.stats().builds

    bus = MessageBus()
    bus.subscribe(Event, lambda event: None)
    for each in (None, bus):
        found, builds = await main(each)
        assert all(value == found[0] for value in found)
        assert builds == 1


async def test_a_loop_may_change_the_order() -> None:
    """Rounds whose calls differ in the order of keywords are rounds of one structure."""
    await check_all_ways(lambda: down(left=9, total=0), 45)


async def test_a_function_sees_the_order_that_was_written() -> None:
    """`**kwargs` has the order of the very call, in all ways of running and by turns."""

    def make(flip: bool) -> Any:
        return names(b=value(1), a=value(2)) if flip else names(a=value(2), b=value(1))

    await check_all_ways(lambda: make(True), ["b=1", "a=2"])
    await check_all_ways(lambda: make(False), ["a=2", "b=1"])

    async with Engine() as engine:
        found = [await engine.run(make(turn % 2 == 0)) for turn in range(2 * TIMES)]
    assert found == [["b=1", "a=2"], ["a=2", "b=1"]] * TIMES
    mapped = [names.map(b=[1], a=[2]), names.map(a=[2], b=[1])] * TIMES
    assert [await cs.arun(each) for each in mapped] == [[["b=1", "a=2"]], [["a=2", "b=1"]]] * TIMES


@pairs
def test_a_recorded_run_goes_on_with_another_order(first: Any, second: Any, tmp_path: Path) -> None:
    """A run that is asked for again with its keywords in another order is the same run."""
    settings: Any = {"state": f"sqlite:///{tmp_path}/runs.db", "run_id": "r"}
    assert cs.run(first(), **settings) == cs.run(second(), **settings)
