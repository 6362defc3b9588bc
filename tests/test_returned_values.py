"""What tasks return that is no plain value: containers with lazy results, routers, quotations."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, assert_type

import pytest
from support.ways import check_all_ways

import cascade as cs
from cascade.runtime import Engine
from cascade.spec import SpecError

BIG = [(number, number + 1) for number in range(100)]


@cs.task
def keep(value: Any) -> Any:
    return value


@cs.task
async def later(value: Any) -> Any:
    return value


@cs.task
def look(value: Any) -> str:
    return repr(value)


@cs.task
def box(number: int) -> Any:
    return [keep(number), {"a": (later(number + 1), [keep(number + 2)])}, number]


@cs.task
async def late_box(number: int) -> Any:
    await asyncio.sleep(0)
    return {"x": keep(number), "y": [box(number)]}


@cs.task
def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "end"


@cs.task
def grow(left: int, seen: list[Any]) -> Any:
    return grow(left - 1, [*seen, keep(left)]) if left else seen


@cs.task
def routed(key: str) -> Any:
    return cs.Router(keep(key), {"lazy": keep(1), "late": later(2), "plain": 3, "container": [keep(4)]})


@cs.task
def many_routed() -> Any:
    return {"k": [routed("lazy"), cs.Router(keep("b"), {"a": 1, "b": 2})]}


async def test_lazy_results_inside_a_returned_container_are_run() -> None:
    """Lists, tuples and dicts are searched at any depth, wherever the task stands."""
    expected = [1, {"a": (2, [3])}, 1]
    await check_all_ways(lambda: box(1), expected)
    await check_all_ways(lambda: look(box(1)), repr(expected))
    await check_all_ways(lambda: [box(1), keep(box(1))], [expected, expected])
    await check_all_ways(lambda: box.map([1, 1]), [expected, expected])
    await check_all_ways(lambda: late_box(1), {"x": 1, "y": [expected]})
    await check_all_ways(lambda: keep([late_box(1), late_box(1)]), [{"x": 1, "y": [expected]}] * 2)
    await check_all_ways(lambda: late_box.map(number=[1]), [{"x": 1, "y": [expected]}])
    await check_all_ways(lambda: nested(4), [[[["end"]]]])
    await check_all_ways(lambda: grow(3, []), [3, 2, 1])
    await check_all_ways(lambda: look(grow(3, [])), "[3, 2, 1]")


def test_a_lazy_result_inside_returned_containers_runs_once() -> None:
    """One that stands in several places is one call, with its policies, conditions and skips."""
    calls: list[int] = []

    @cs.task
    def note(value: int) -> int:
        calls.append(value)
        return value

    @cs.task
    def twice() -> Any:
        once = note(1)
        return [once, (once,), note(2).run_if(keep(False), otherwise=0)]

    assert cs.run(twice()) == [1, (1,), 0]
    assert cs.run(keep(twice())) == [1, (1,), 0]
    assert calls == [1, 1]


async def test_a_container_without_lazy_results_is_the_same_object() -> None:
    """What a task returns is handed on as it is, also where it is large, shared or holds itself."""
    circle: list[Any] = [1]
    circle.append(circle)
    shared: list[Any] = []
    for _ in range(60):
        shared = [shared, shared]
    for value in (BIG, circle, shared, {"k": BIG}, {1, 2}, (BIG, BIG)):
        holder = [value]

        @cs.task
        def give(at: int, holder: list[Any] = holder) -> Any:
            return holder[at]

        async def main(target: Any) -> list[Any]:
            async with Engine() as engine:
                return [await engine.run(target()) for _ in range(4)]

        for make in (partial(give, 0), partial(keep, give(0))):
            assert all(got is value for got in await main(make))


async def test_what_is_quoted_is_not_searched() -> None:
    """`return cs.quote(value)` hands on the very object, with the lazy results inside it as they are."""
    inside = [keep(1)]

    @cs.task
    def quoted() -> Any:
        return cs.quote(inside)

    @cs.task
    async def late_quoted() -> Any:
        return cs.quote(inside)

    @cs.task
    def partly() -> Any:
        return [cs.quote(inside), keep(2)]

    async def main(make: Any) -> list[Any]:
        async with Engine() as engine:
            return [await engine.run(make()) for _ in range(5)]

    for make in (quoted, late_quoted):
        assert all(value is inside for value in await main(make))
        assert all(value[0] is inside for value in await main(lambda make=make: [make(), 1]))
    assert all(value[0] is inside and value[1] == 2 for value in await main(partly))
    with pytest.raises(SpecError, match="a lazy result stands for itself"):
        cs.quote(keep(1))


async def test_quoted_arguments_are_handed_on_as_they_are() -> None:
    """`cs.quote(value)` in an argument, at any depth and in maps, gives the task the very object."""
    got: list[Any] = []

    @cs.task
    def take(value: Any, rest: Any = None) -> int:
        got.append(value)
        return len(got) * 0

    async with Engine() as engine:
        for _ in range(5):
            await engine.run(take(cs.quote(BIG)))
            await engine.run(take(value=cs.quote(BIG), rest=keep(1)))
    assert all(value is BIG for value in got)
    assert len(got) == 10
    await check_all_ways(lambda: keep([1, {"k": cs.quote((1, [2]))}, keep(3)]), [1, {"k": (1, [2])}, 3])
    await check_all_ways(lambda: look.map(cs.quote([[1], (2,)])), ["[1]", "(2,)"])
    await check_all_ways(lambda: look.map(value=cs.quote([[1], (2,)])), ["[1]", "(2,)"])
    await check_all_ways(lambda: keep(1).run_if(keep(0), otherwise=cs.quote([2])), [2])
    await check_all_ways(lambda: cs.Router(keep("a"), {"a": cs.quote([1]), "b": 2}), [1])
    lazy = keep(1)
    assert await cs.arun(look(cs.quote([lazy]))) == repr([lazy])


async def test_a_recorded_run_keeps_what_is_quoted_as_data() -> None:
    """A returned call with a quoted argument is recorded with its data."""
    await check_all_ways(lambda: passing(2), [1, [2]])


@cs.task
def passing(left: int) -> Any:
    return passing_on(left, cs.quote([1, [2]]))


@cs.task
def passing_on(left: int, data: Any) -> Any:
    return passing_on(left - 1, cs.quote(data)) if left else data


def test_a_lazy_result_that_cannot_stand_there_fails_the_task() -> None:
    """A lazy result as a set member or dict key of what a task returns is the error of that call."""

    @cs.task
    def member() -> Any:
        return {keep(1)}

    @cs.task
    def key() -> Any:
        return [{keep(1): 1}]

    for task, place in ((member, "a member of a set"), (key, "a dict key")):
        for target in (task(), look(task()), [task(), keep(1)]):
            with pytest.raises(SpecError, match=place) as caught:
                cs.run(target)
            assert any(f"in task '{task.name}'" in note for note in caught.value.__notes__)


async def test_a_returned_router_is_run_in_the_place_of_its_task() -> None:
    """A router as a tail call, inside a returned container, and from the factory of a map."""
    for key, value in (("lazy", 1), ("late", 2), ("plain", 3), ("container", [4])):
        await check_all_ways(partial(routed, key), value)
        await check_all_ways(partial(cs.gather, routed(key), keep(routed(key))), [value, value])
    await check_all_ways(many_routed, {"k": [1, 2]})
    await check_all_ways(lambda: cs.map(choosing, x=[0, 1]), ["even", "odd"])


def choosing(x: int) -> Any:
    return cs.Router(keep(x), {0: "even", 1: keep("odd")})


@pytest.mark.parametrize(
    ("make", "value"),
    [
        (lambda router: router, 1),
        (lambda router: [router, router], [1, 1]),
        (lambda router: cs.gather(router, keep(2)), [1, 2]),
        (lambda router: cs.sequence([router, keep(2)]), 2),
        (lambda router: cs.sequence([keep(2), router]), 1),
        (lambda router: cs.pipeline(router, [keep, later]), 1),
        (lambda router: cs.pipeline(2, [keep, lambda _: router]), 1),
        (lambda router: cs.pipeline(2, [keep, lambda _: 5, keep]), 5),
        (lambda router: cs.pipeline(2, [lambda value: value + 1]), 3),
        (lambda router: cs.pipeline(2, [lambda value: [keep(value)]]), [2]),
        (lambda router: keep(3).run_if(router), 3),
        (lambda router: keep(3).after(router), 3),
        (lambda router: cs.Router(router, {1: "one"}), "one"),
        (lambda router: cs.Router(keep("x"), {"x": router}), 1),
        (lambda router: keep({"k": [router]}), {"k": [1]}),
        (lambda router: keep.map([router, 2]), [1, 2]),
        (lambda router: cs.Router(keep(0), {0: [1, 2]})[1], 2),
        (lambda router: cs.unpack(cs.Router(keep(0), {0: (1, 2)}), 2)[1], 2),
    ],
)
async def test_a_router_stands_wherever_a_lazy_result_may(make: Any, value: Any) -> None:
    """As a target, a condition, a selector, a route, in gather, sequence, pipeline, maps and containers."""
    await check_all_ways(lambda: make(cs.Router(keep("b"), {"a": keep(0), "b": keep(1), "c": 2})), value)


def test_a_router_is_an_amount() -> None:
    """A router gives the amount of a constraint."""
    router = cs.Router(keep("b"), {"a": 1, "b": 2})
    assert cs.run(keep(1).with_constraints(gpu=router), system_resources={"gpu": 2}) == 1


def test_routes_that_are_not_chosen_do_not_run() -> None:
    """A router that stands alone, in several places, runs its selector and its route once and no other route."""
    calls: list[str] = []

    @cs.task
    def note(value: str) -> str:
        calls.append(value)
        return value

    router = cs.Router(note("b"), {"a": note("x"), "b": note("y"), "c": 1})
    assert cs.run([router, keep(1).run_if(router), note("z").after(router), router[0]]) == ["y", 1, "z", "y"]
    assert sorted(calls) == ["b", "y", "z"]


def test_a_workflow_may_return_a_router() -> None:
    """A workflow function that returns a router is run as one that returns a lazy result."""

    def workflow() -> Any:
        return cs.Router(cs.Param("key", "a"), {"a": 1, "b": keep(2)})

    assert cs.run(workflow) == 1
    assert cs.run(workflow, params={"key": "b"}) == 2


@cs.task
def collect(left: int, seen: list[Any], rows: Any) -> Any:
    seen.append(keep(left))
    rows[0] = left
    return collect(left - 1, seen, rows) if left else [seen, rows]


async def test_a_container_that_a_loop_changes_is_searched_in_each_round() -> None:
    """Lazy results that a task puts into a list which it hands on are found; a long list stays the same object."""
    await check_all_ways(lambda: collect(3, [], [0, (1, 2)]), [[3, 2, 1, 0], [0, (1, 2)]])
    rows = [(number, number) for number in range(20_000)]
    assert (await cs.arun(collect(40, [], rows)))[1] is rows
    shared = [keep(number) for number in range(3)]
    assert (await cs.arun([look.partial().map(value=[rows[:2]] * 2), [passing_on(0, rows) for _ in shared]]))[
        1
    ][2] is rows


@cs.task
def flat() -> list[int]:
    return [1]


def test_what_runs_a_router_has_its_type() -> None:
    """Type checkers know what the run of a router gives, and of a workflow that returns one."""

    def workflow() -> cs.Router[list[int]]:
        return cs.Router(keep(1), {1: flat()})

    assert_type(cs.run(workflow()), list[int])
    assert_type(cs.run(workflow), list[int])
