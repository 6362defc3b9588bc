"""Claims about values that are changed after their task has given them: a cache keeps what was given."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend, SqliteCacheBackend
from cascade.adapters.codec import DataCodec
from cascade.spec import CacheKey


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


@cs.task(cache=cs.ByInputs())
async def fetched(size: int) -> list[int]:
    CALLS.append(size)
    await asyncio.sleep(0)
    return list(range(size))


@cs.task
def grow(given: list[int]) -> list[int]:
    given.append(-1)
    return list(given)


@pytest.fixture(params=["sqlite", "redis", "memory"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    CALLS.clear()
    if request.param == "memory":
        return InMemoryCacheBackend(codec=DataCodec())
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cache.db"
    return request.getfixturevalue("redis_server").url


CALLS: list[int] = []


@pytest.mark.parametrize("load", [numbers, fetched], ids=["inline", "a coroutine"])
def test_each_caller_of_a_shared_cache_has_an_object_of_its_own(shared: Any, load: Any) -> None:
    """What one caller does to a value shows in no other, be it computed, waited for or found: in each run the same."""
    for _ in range(3):
        assert cs.run([grow(load(3)) for _ in range(3)], cache=shared) == [[0, 1, 2, -1]] * 3
        assert cs.run(cs.gather(grow.map(given=load.map(size=[3, 3, 3]))), cache=shared) == [
            [[0, 1, 2, -1]] * 3
        ]


def test_many_who_wait_for_one_computation_have_objects_of_their_own(shared: Any) -> None:
    """One call is made for 20 who ask at once; nobody's value is another one's object."""
    values = cs.run([fetched(4) for _ in range(20)], cache=shared)
    assert values == [[0, 1, 2, 3]] * 20
    assert len({id(value) for value in values}) == 20
    assert CALLS == [4]


class Opaque:
    pass


def test_who_waits_for_what_can_not_be_copied_computes_for_itself(shared: Any) -> None:
    """A value that the codec refuses is nobody else's: each caller makes its own, in the first run as in the next."""

    @cs.task(cache=cs.ByInputs())
    async def opaque() -> Opaque:
        CALLS.append(0)
        await asyncio.sleep(0)
        return Opaque()

    for runs in (1, 2):
        values = cs.run([opaque(), opaque(), opaque()], cache=shared)
        assert len(set(values)) == 3
        assert len(CALLS) == 3 * runs


class Same(SqliteCacheBackend):
    """Changes nothing."""


class Noting(SqliteCacheBackend):
    """Does otherwise in one method, and leaves the ones that could be called in its place as they are."""

    puts = 0

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        self.puts += 1
        await super().put(key, value, ttl)


async def test_a_cache_that_builds_on_another_keeps_what_it_does_not_change(tmp_path: Path) -> None:
    """Callers have objects of their own from a subclass too; a method that it overrides is the one that is called."""
    same, noting = Same(tmp_path / "same.db"), Noting(tmp_path / "noting.db")
    values = await cs.arun([fetched(4) for _ in range(3)], cache=same)
    assert len({id(value) for value in values}) == 3
    for _ in range(2):
        assert await cs.arun([fetched(4), fetched(5)], cache=noting) == [[0, 1, 2, 3], [0, 1, 2, 3, 4]]
    assert noting.puts == 2
    for cache in (same, noting):
        await cache.close()


def test_the_cache_in_memory_hands_out_the_object_itself() -> None:
    """The default cache gives each caller the very object, so a change of it shows: hand a codec to it, or copy."""
    values = cs.run([numbers(3), numbers(3)])
    assert values[0] is values[1]
    assert cs.run([grow(numbers(3)), grow(numbers(3))]) == [[0, 1, 2, -1], [0, 1, 2, -1, -1]]


@cs.task
def fails_at_first(given: list[int]) -> list[int]:
    CALLS.append(0)
    if len(CALLS) == 2:
        raise OSError("down")
    given.append(-1)
    return list(given)


@pytest.mark.parametrize("own", [False, True], ids=["", "own cache"])
def test_a_run_that_goes_on_gives_what_it_would_have_given(tmp_path: Path, shared: Any, own: bool) -> None:
    """A value that is read from the record is as good as one that was computed: nobody's change shows in it."""
    state: Any = {"state": f"sqlite:///{tmp_path}/runs.db", "run_id": "r"}
    if not own:
        state["cache"] = shared
    target = [fails_at_first(numbers(3)), fails_at_first(numbers(3))]
    with pytest.raises(OSError, match="down"):
        cs.run(target, **state)
    assert cs.run(target, **state) == [[0, 1, 2, -1]] * 2
