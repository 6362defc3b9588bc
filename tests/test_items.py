"""Items of lazy results and what `cs.unpack` gives, in all ways of running."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.ways import check_all_ways

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.spec import LazyUseError, Mode, UnpackError


@cs.task
def record(name: str) -> dict[str, Any]:
    return {"name": name, "parts": [1, 2, 3]}


@cs.task
async def later(value: Any) -> Any:
    return value


@cs.task
def pair() -> tuple[int, str]:
    return 1, "one"


@cs.task
def add(left: Any, right: Any) -> Any:
    return left + right


@cs.task
def count(left: int, data: dict[str, Any]) -> Any:
    return count(left - 1, record(data["name"] + "x")) if left else data["name"]


async def test_an_item_is_taken_when_the_value_is_there() -> None:
    """Keys, indices, slices and lazy keys give what they give of the value, at any depth."""
    await check_all_ways(lambda: record("a")["name"], "a")
    await check_all_ways(lambda: record("a")["parts"][0], 1)
    await check_all_ways(lambda: record("a")["parts"][1:], [2, 3])
    await check_all_ways(lambda: record("a")[later("name")], "a")
    await check_all_ways(lambda: later(record("a"))["parts"][-1], 3)
    await check_all_ways(lambda: add.map(left=[1, 2], right=[3, 4])[1], 6)
    await check_all_ways(lambda: cs.sequence([pair(), record("b")])["name"], "b")


async def test_items_are_lazy_results_like_others() -> None:
    """An item goes into arguments, containers, conditions and maps, and one lazy result is called once for all."""
    calls = []

    @cs.task
    def once() -> dict[str, Any]:
        calls.append(1)
        return {"yes": True, "no": False, "items": [1, 2]}

    def target() -> Any:
        made = once()
        left = add(1, 2).run_if(made["yes"], otherwise=0)
        right = add(1, 2).run_if(made["no"], otherwise=0)
        return [left, right, later.map(made["items"])]

    await cs.arun(target())
    assert len(calls) == 1

    def plain() -> Any:
        made = record("a")
        return add(made["parts"][0], made["parts"][1])

    await check_all_ways(plain, 3)


async def test_unpacked_parts_are_those_of_the_value() -> None:
    """`a, b = cs.unpack(f(), 2)` works for tuples, lists and other iterables, and calls `f` once."""

    def target() -> Any:
        number, text = cs.unpack(pair(), 2)
        return [text, number]

    await check_all_ways(target, ["one", 1])
    assert await cs.arun(list(cs.unpack(later({"a": 1, "b": 2}), 2))) == ["a", "b"]


def test_a_value_with_another_number_of_parts_is_an_error() -> None:
    """More or fewer parts fail the run as Python does, also of an iterator without end."""

    @cs.task
    def endless() -> Iterator[int]:
        return iter(int, 1)

    with pytest.raises(UnpackError, match="got 2 values") as caught:
        cs.run(cs.unpack(pair(), 3)[0])
    assert isinstance(caught.value, ValueError)
    with pytest.raises(UnpackError, match="got more than 1 values"):
        cs.run(cs.unpack(pair(), 1)[0])
    with pytest.raises(UnpackError, match="got more than 2 values"):
        cs.run(cs.unpack(endless(), 2)[0])
    with pytest.raises(TypeError, match="not iterable"):
        cs.run(cs.unpack(add(1, 2), 2)[0])


def test_a_missing_item_fails_as_it_does_in_python() -> None:
    """The error is that of the value, with the place of the item in its notes."""
    with pytest.raises(KeyError) as caught:
        cs.run(record("a")["absent"])
    assert "in task 'item' at root" in caught.value.__notes__[0]


async def test_a_task_may_return_an_item() -> None:
    """An item as a tail call, and in the rounds of a loop."""

    @cs.task
    def tail() -> Any:
        return record("z")["name"]

    assert await cs.arun(tail()) == "z"
    assert await cs.arun([tail(), tail()]) == ["z", "z"]
    await check_all_ways(lambda: count(3, record("a")), "axxx")


def test_a_lazy_result_used_inside_a_task_fails_that_task() -> None:
    """A task that uses a lazy result as its value fails with the clear error, and so does an awaited one."""

    @cs.task
    def wrong() -> Any:
        return 1 + pair()  # type: ignore[operator]

    @cs.task
    async def awaits() -> Any:
        return await pair()  # type: ignore[misc]

    for task in (wrong, awaits):
        with pytest.raises(LazyUseError, match="the lazy result of task 'pair'") as caught:
            cs.run(task())
        assert f"in task '{task.name}' at root" in caught.value.__notes__[0]


def test_items_are_taken_inline_wherever_tasks_run() -> None:
    """Items are taken by the engine itself where the tasks run in threads."""
    mode = LocalExecutor("thread").mode_of
    assert mode(record("a")["parts"].task, None) is Mode.INLINE
    assert mode(record, None) is Mode.THREAD
