"""What the tasks of the workloads do, how many there are and what must come out: no engine, nothing but Python.

The same functions run on Cascade, as its limit and on each peer.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

MODULUS = 1_000_003

NAP = 0.01
"""Seconds that a sleeper sleeps."""

CHAIN_PER_ROUND = 11
MAPPED_PER_ROUND = 5


def add_one(value: int) -> int:
    return value + 1


def double(value: int) -> int:
    return 2 * value


def square(x: int) -> int:
    return x * x


def busy(x: int) -> int:
    """Compute for 1 ms of the processor's time."""
    ends = time.process_time() + 0.001
    while time.process_time() < ends:
        pass
    return x * x


def source(value: int) -> int:
    return value


def combine(a: int, b: int, c: int) -> int:
    return (a + 2 * b + 3 * c) % MODULUS


def total(values: list[int]) -> int:
    return sum(values)


def parity(left: int) -> str:
    return "odd" if left & 1 else "even"


def is_odd(left: int) -> bool:
    return left & 1 == 1


def half(left: int) -> int:
    return left // 2


def triple(left: int) -> int:
    return 3 * left + 1


def add_up(total: int, routed: int, bonus: int, squares: list[int]) -> int:
    return (total + routed + bonus + sum(squares)) % MODULUS


async def nap(value: int) -> int:
    await asyncio.sleep(NAP)
    return value


@lru_cache(maxsize=8)
def layers(size: int) -> list[list[tuple[int, int, int]]]:
    """The inputs of each node in the layers above the first, the same every time.

    They are 3 of the `size` nodes below: one drawn without putting back, so that each node is needed, and two at will.
    """
    draw = random.Random(size)
    return [
        [(first, draw.randrange(size), draw.randrange(size)) for first in draw.sample(range(size), size)]
        for _ in range(size - 1)
    ]


def mixed_answer(size: int, salt: int) -> int:
    value = salt
    for left in range(size, 0, -1):
        squares = sum(x * x for x in range(left, left + MAPPED_PER_ROUND))
        value += (3 * left + 1 + left * left if left & 1 else left // 2) + squares
    return value % MODULUS if size else value


def layered_answer(size: int, salt: int) -> int:
    below = list(range(salt, salt + size))
    for layer in layers(size):
        below = [(below[a] + 2 * below[b] + 3 * below[c]) % MODULUS for a, b, c in layer]
    return sum(below)


def squares(size: int, salt: int) -> list[int]:
    return [x * x for x in range(salt, salt + size)]


ANSWERS: Mapping[str, Callable[[int, int], object]] = {
    "simple_countdown": lambda size, salt: salt,
    "heavy_countdown": lambda size, salt: salt + CHAIN_PER_ROUND * size,
    "mixed_loop": mixed_answer,
    "chain": lambda size, salt: salt + size,
    "fan_out": lambda size, salt: size * (2 * salt + size - 1),
    "layered_dag": layered_answer,
    "map": squares,
    "sleepers": lambda size, salt: list(range(salt, salt + size)),
    "thread_map": squares,
    "process_map": squares,
    "process_work": squares,
    "durable_chain": lambda size, salt: salt + size,
    "durable_fan_out": lambda size, salt: size * (2 * salt + size - 1),
}
"""From size and salt, what a workload gives."""


def count_units(workload: str, size: int) -> int:
    """Return how many rounds, nodes, items or tasks a workload of some size has."""
    return {"fan_out": size + 1, "durable_fan_out": size + 1, "layered_dag": size * size + 1}.get(
        workload, size
    )
