"""Shapes: how calls hang together. A shape with a feature is a side of a duel, and so is its limit in plain Python."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import cascade as cs
from observatory import bare
from observatory.rows.duel import Prepare, Run, Side, plain
from observatory.rows.features import Calls, Feature

MODULUS = 10_000_000
"""More than the rounds of any loop: a loop counts down to the next lower multiple."""


@dataclass(frozen=True, slots=True)
class Shape:
    """So many calls of one function: `target` makes the tree, `limit` computes its value and builds a bare tree.

    All take the size and the first literal; literals of two repeats have nothing in common.
    """

    name: str
    unit: str
    tasks: Callable[[Feature], Callable[[int, int], Any]]
    limit: Callable[[int, int], object]
    answer: Callable[[int, int], object]

    def side(self, feature: Feature) -> Side:
        """Return the side of an engine that knows the structure, each call with this feature."""

        @asynccontextmanager
        async def opened(size: int) -> AsyncIterator[Prepare]:
            target = self.tasks(feature)
            async with feature.engine() as engine:

                def prepare(salt: int) -> Run:
                    first = _first(0 if feature.same else salt, size)

                    async def run() -> object:
                        return await engine.run(target(size, first))

                    return run

                yield prepare

        return Side(opened, self._answer(feature.same))

    def limit_side(self, same: bool = False) -> Side:
        return plain(
            lambda size, salt: self.limit(size, _first(0 if same else salt, size)), self._answer(same)
        )

    def _answer(self, same: bool) -> Callable[[int, int], object]:
        return lambda size, salt: self.answer(size, _first(0 if same else salt, size))


def _first(salt: int, size: int) -> int:
    return salt * MODULUS + (size if size < MODULUS else 0)


def square(value: int) -> int:
    return value * value


def double(value: int) -> int:
    return 2 * value


def add_one(value: int) -> int:
    return value + 1


def total(values: list[int]) -> int:
    return sum(values)


# Maps


def map_tasks(feature: Feature) -> Callable[[int, int], Any]:
    calls = feature.calls(square)
    return lambda size, first: calls.each(range(first, first + size))


def map_limit(size: int, first: int) -> object:
    call = square
    return [call(value) for value in range(first, first + size)]


def map_answer(size: int, first: int) -> object:
    return [value * value for value in range(first, first + size)]


# Fan-outs


def fan_out_tasks(feature: Feature) -> Callable[[int, int], Any]:
    calls, collect = feature.calls(double), cs.task(total)

    def target(size: int, first: int) -> Any:
        one = calls.one
        return collect([one(value) for value in range(first, first + size)])

    return target


BARE_DOUBLE, BARE_TOTAL, BARE_ADD = bare.Task(double), bare.Task(total), bare.Task(add_one)


def fan_out_limit(size: int, first: int) -> object:
    lazy, call = BARE_TOTAL([BARE_DOUBLE(value) for value in range(first, first + size)]), double
    value = total([call(value) for value in range(first, first + size)])
    del lazy
    return value


def fan_out_answer(size: int, first: int) -> object:
    return size * (2 * first + size - 1)


# Chains


def chain_tasks(feature: Feature) -> Callable[[int, int], Any]:
    calls = feature.calls(add_one)

    def target(size: int, first: int) -> Any:
        one, lazy = calls.one, calls.one(first)
        for _ in range(size - 1):
            lazy = one(lazy)
        return lazy

    return target


def chain_limit(size: int, first: int) -> object:
    lazy = BARE_ADD(first)
    for _ in range(size - 1):
        lazy = BARE_ADD(lazy)
    call = add_one
    for _ in range(size):
        first = call(first)
    del lazy
    return first


# Loops


def loop_tasks(feature: Feature) -> Callable[[int, int], Any]:
    def countdown(value: int) -> Any:
        return calls.one(value - 1) if value % MODULUS else value

    calls: Calls = feature.calls(countdown)
    return lambda size, first: calls.one(first)


def loop_limit(size: int, first: int) -> object:
    def countdown(value: int) -> Any:
        return task(value - 1) if value % MODULUS else value

    task = bare.Task(countdown)
    lazy = task(first)
    while type(lazy) is bare.Lazy:
        lazy = countdown(*lazy.args)
    return lazy


MAP = Shape("map", "item", map_tasks, map_limit, map_answer)
FAN_OUT = Shape("fan-out", "call", fan_out_tasks, fan_out_limit, fan_out_answer)
CHAIN = Shape("chain", "call", chain_tasks, chain_limit, lambda size, first: first + size)
LOOP = Shape("loop", "round", loop_tasks, loop_limit, lambda size, first: first - size)

SHAPES = (MAP, FAN_OUT, CHAIN, LOOP)
