"""Claims about values that are changed after their task has given them: a cache keeps what was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cascade as cs


@cs.task(cache=cs.ByInputs())
def numbers(size: int) -> list[int]:
    return list(range(size))


@cs.task
def spoil(given: Any) -> int:
    given.append(-1)
    return len(given)


@cs.task
async def spoil_later(given: Any) -> int:
    given.append(-1)
    return len(given)


@cs.task
def spoil_all(given: list[list[int]]) -> None:
    for each in given:
        each.append(-1)


@cs.task(cache=cs.ByInputs())
def returns_numbers(size: int) -> Any:
    return numbers(size)


@pytest.mark.parametrize(
    "target",
    [
        lambda: spoil(numbers(3)),
        lambda: spoil_later(numbers(3)),
        lambda: spoil_all(numbers.map(size=[3, 2])),
        lambda: spoil(returns_numbers(3)),
        lambda: [spoil(numbers(3)), spoil(numbers(3))],
    ],
    ids=["inline", "a coroutine", "a map", "a tail call", "two callers"],
)
@pytest.mark.parametrize("durable", [False, True], ids=["", "recorded"])
def test_a_cache_keeps_what_was_given_whatever_becomes_of_it(
    tmp_path: Path, target: Any, durable: bool
) -> None:
    """A task that changes its input does not change what the next run finds in the cache."""
    url = f"sqlite:///{tmp_path}/cache.db"
    state: Any = {"state": f"sqlite:///{tmp_path}/runs.db", "run_id": "r"} if durable else {}
    cs.run(target(), cache=url, **state)
    assert cs.run(numbers(3), cache=url) == [0, 1, 2]
    assert cs.run(returns_numbers(3), cache=url) == [0, 1, 2]
