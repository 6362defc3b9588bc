"""Laziness and order: what runs, when it may start, and that timing has no say in it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from observation import observe
from recorder import Lazy, Recorder, verdicts

import cascade as cs
from cascade.graph import plan
from cascade.runtime import Engine


def meeting(parties: int) -> Callable[[], Coroutine[Any, Any, int]]:
    """A function for tasks that can end only when so many calls of it are under way at one time."""
    barrier: list[asyncio.Event] = []
    waiting: list[None] = []

    async def meet() -> int:
        if not barrier:
            barrier.append(asyncio.Event())
        waiting.append(None)
        if len(waiting) == parties:
            barrier[0].set()
        async with asyncio.timeout(20):
            await barrier[0].wait()
        return 1

    return meet


def test_calling_a_task_runs_nothing() -> None:
    """Calling a task, giving it policies, building its graph and planning it run nothing."""
    call = Recorder()
    target = call("a", 1, call("b")).run_if(call("c")).after(call("d")).with_retry()
    cs.build_graph(cs.sequence([call("e"), cs.gather(target)]))
    plan(target)
    call.task("m").map([1, 2])
    assert call.ran == []


def test_only_what_the_target_demands_runs() -> None:
    """Work is driven by demand from the target: what depends on the target does not run."""
    call = Recorder()
    target = call("a", 1, call("b"))
    call("c", 1, target)
    cs.run(target)
    assert call.ran == ["b", "a"]


def test_a_shared_node_runs_once() -> None:
    """Each lazy result runs once, however many want it; two equal calls are two nodes."""
    call = Recorder()
    task = call.task("shared")
    shared = task()
    cs.run(
        cs.gather(call("a", 1, shared, [shared]), call("b", 1, shared).run_if(shared).after(shared), task())
    )
    assert call.ran.count("shared") == 2


def test_predecessors_and_condition_are_demanded_at_once() -> None:
    """Sequence predecessors and all conditions of a node run at the same time."""
    call = Recorder()
    task = cs.task(meeting(4))
    target = call("a").after(task(), task()).run_if(task()).run_if(task())
    assert cs.run(target) == 1


def test_inputs_without_a_condition_are_demanded_at_once() -> None:
    """Without a condition, predecessors, inputs, amounts and selectors run at the same time."""
    call = Recorder()
    task = cs.task(meeting(4))
    target = (
        call("a", 1, task(), cs.Router(task(), {1: call("b")})).after(task()).with_constraints(gpu=task())
    )
    assert observe(target).value == 1


def test_inputs_wait_for_the_condition() -> None:
    """Inputs, selectors and amounts are demanded only when the condition has come true."""
    call = Recorder()
    condition = call("condition", 1, call("before it"))
    router = cs.Router(call("selector"), {1: call("route")})
    target = call("a", 1, call("input"), router).with_constraints(gpu=call("amount")).run_if(condition)
    observe(target)
    assert call.ran[:2] == ["before it", "condition"]
    assert set(call.ran[2:]) == {"selector", "route", "input", "amount", "a"}


def test_no_input_of_a_node_whose_condition_is_false_starts() -> None:
    """No input of a node whose condition is false starts, nor anything below it."""
    call = Recorder()
    target = call("a", 1, call("input", 1, call("below")).after(call("before it")))
    observe(target.run_if(call("c", 0)).after(call("before a")))
    assert set(call.ran) == {"c", "before a"}


def test_a_route_is_demanded_only_when_its_selector_has_chosen() -> None:
    """The chosen route starts after the selector, and no task of an unselected route starts."""
    call = Recorder()
    routes = {key: call(f"route {key}", key, call(f"below {key}")) for key in "xyz"}
    assert cs.run(call("a", lambda got: got, cs.Router(call("s", "y"), routes))) == "y"
    assert call.ran == ["s", "below y", "route y", "a"]


def test_an_unselected_route_runs_if_something_else_needs_it() -> None:
    """What an unselected route or a false condition leaves out still runs where another node needs it."""
    call = Recorder()
    needed = call("needed")
    router = cs.Router(call("s", 0), {0: call("chosen"), 1: needed})
    unneeding = call("b", 1, needed).run_if(call("c", 0), otherwise=None)
    cs.run(cs.gather(call("a", 1, router), unneeding, call("d", 1, needed)))
    assert call.ran.count("needed") == 1


@pytest.mark.parametrize("late", ["before", "condition"])
def test_demand_is_never_withdrawn(late: str) -> None:
    """A node that is skipped by its predecessor still has its inputs run, whichever is known first."""
    call = Recorder()

    async def slow() -> int:
        for _ in range(20):
            await asyncio.sleep(0)
        return 1

    waits = cs.task(slow)
    before = call.skipped("before").after(*([waits()] if late == "before" else []))
    condition = call("condition", 1, *([waits()] if late == "condition" else []))
    router = cs.Router(call("selector"), {1: call("route")})
    seen = observe(call("a", 1, call("input"), router).run_if(condition).after(before))
    assert {"input", "selector", "route"} <= set(call.ran)
    assert "UpstreamSkipped_Sequence" in {each.verdict for each in seen.told.values() if each.name == "a"}


def test_a_skip_is_decided_when_all_that_was_demanded_has_settled() -> None:
    """A node that is skipped by one input waits for its other inputs: they have ended when its skip is told."""
    call = Recorder()

    async def slow() -> int:
        for _ in range(20):
            await asyncio.sleep(0)
        return 1

    seen = observe(call("a", 1, call.skipped("b"), cs.task(slow)()))
    ids = {each.name: at for at, each in seen.told.items()}
    told = [getattr(event, "task_id", None) for event in seen.events]
    last_word = max(index for index, at in enumerate(told) if at == ids["slow"])
    assert told.index(ids["b"]) < last_word < told.index(ids["a"])


def test_there_are_no_barriers_between_stages() -> None:
    """A node starts as soon as what it waits for is there, while others of an earlier stage still run."""
    call = Recorder()
    meets = cs.task(meeting(2))
    chain: Lazy = call("first")
    for step in range(5):
        chain = call(f"step {step}", 1, chain)
    assert cs.run([meets(), meets().after(chain)]) == [1, 1]


@pytest.mark.parametrize("limit", [None, 1])
def test_the_plan_gives_the_order_among_ready_nodes(limit: int | None) -> None:
    """Nodes that are ready at the same time start in the plan's order."""
    call = Recorder()
    names = iter(range(100))
    layer: list[Lazy] = [call(f"n{next(names)}") for _ in range(5)]
    for _ in range(4):
        layer = [call(f"n{next(names)}", 1, layer[index], layer[index - 1]) for index in range(5)]
    target = call("end", 1, *reversed(layer))
    observe(target, lambda bus: Engine(bus=bus, max_concurrency=limit))
    expected = [node.name for stage in cs.plan(target) for node in stage]
    position = {name: at for at, name in enumerate(call.ran)}
    for stage in cs.plan(target):
        places = [position[node.name] for node in stage]
        assert places == sorted(places)
    assert sorted(call.ran) == sorted(expected)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_max_concurrency_bounds_the_calls_at_one_time(limit: int) -> None:
    """At most `max_concurrency` calls run at one time, and as many do."""
    running = Counted()
    targets = [running.task(index) for index in range(12)]
    observe(cs.gather(*targets), lambda bus: Engine(bus=bus, max_concurrency=limit))
    assert running.most == limit


@pytest.mark.parametrize("limit", [1, 3])
def test_a_maps_own_bound_holds_for_its_items(limit: int) -> None:
    """`map(max_concurrency=)` bounds the items that run at one time; the order of the results stays."""
    running = Counted()
    assert observe(running.task.map(range(9), max_concurrency=limit)).value == list(range(9))
    assert running.most == limit


class Counted:
    """A task that counts how many of its calls run at one time."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.task = cs.task(self.perform)

    async def perform(self, value: int) -> int:
        self.now += 1
        self.most = max(self.most, self.now)
        for _ in range(10):
            await asyncio.sleep(0)
        self.now -= 1
        return value


def test_the_same_nodes_run_whatever_the_timing() -> None:
    """With every order in which three gates may open, the same tasks run and report the same."""
    results = []
    for order in itertools.permutations(range(3)):
        gates: dict[int, asyncio.Event] = {}

        async def gate(
            index: int, value: int, order: tuple[int, ...] = order, gates: dict[int, asyncio.Event] = gates
        ) -> int:
            mine = gates.setdefault(index, asyncio.Event())
            if index == order[0]:
                mine.set()
            async with asyncio.timeout(20):
                await mine.wait()
            following = order.index(index) + 1
            if following < len(order):
                gates.setdefault(order[following], asyncio.Event()).set()
            return value

        waits = cs.task(gate)
        call = Recorder()
        gated: list[Any] = [waits(0, 0), waits(1, 1), waits(2, 2)]
        skipped = call("skipped", 1, call("never")).run_if(gated[0])
        router = cs.Router(gated[1], {1: call("chosen", 1, gated[0]), 2: call("unchosen")})
        target = call("a", 1, router, call("b", 1, gated[2], skipped)).run_if(gated[2])
        seen = observe(cs.gather(target.after(call("c", 1, gated[2])), *gated))
        results.append((sorted(map(str, seen.told.values())), sorted(call.ran)))
    assert all(each == results[0] for each in results)


def test_every_node_is_mentioned() -> None:
    """Each node of a graph has exactly one last word: it finished, or it is told why it never started."""
    call = Recorder()
    router = cs.Router(call("s", 0), {0: call("left"), 1: call("right")})
    target = call("a", 1, router, call("b", 1, call("unneeded")).run_if(call("c", 0), otherwise=1))
    told = verdicts(observe(target))
    assert told == {
        "a": "Succeeded",
        "s": "Succeeded",
        "left": "Succeeded",
        "right": "Pruned_UnselectedRoute",
        "b": "ConditionFalse",
        "c": "Succeeded",
        "unneeded": "NotNeeded",
    }
