"""Claims about timelines: what they keep of runs, and how they are read."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import weakref
from contextlib import suppress
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import SkipReason, Status, TaskExecutionFinished
from cascade.spec import SpecError


@cs.task
def give(value: Any = None) -> Any:
    return value


@cs.task
def fail() -> None:
    raise ValueError("broken")


@cs.task
async def rest(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


@cs.task
def count(left: int) -> Any:
    return count(left - 1) if left else 0


def timeline_of(target: Any, timeline: cs.Timeline | None = None, **settings: Any) -> cs.Timeline:
    """Run a target, whatever comes of it, and return its timeline."""
    timeline = cs.Timeline() if timeline is None else timeline
    with suppress(cs.CascadeError, ValueError, ExceptionGroup):
        cs.run(target, timeline=timeline, **settings)
    return timeline


def test_each_call_is_in_it() -> None:
    """Each call is there with its place, its task, its times in their order, its status and who made it."""
    (run,) = timeline_of(give([give(1), rest(0)])).runs
    calls = {call.id: call for call in run.calls()}
    assert {name: call.task for name, call in calls.items()} == {"n0": "give", "n1": "give", "n2": "rest"}
    for call in calls.values():
        assert run.began <= call.queued <= call.began <= call.ended <= (run.ended or 0)
        assert (call.status, call.attempt, call.worker) == (Status.SUCCEEDED, 1, "loop")
    assert calls["n0"].began >= max(calls["n1"].ended, calls["n2"].ended)
    assert run.status is Status.SUCCEEDED


def test_failures_retries_and_skips_are_in_it() -> None:
    """A failed call has its error and the number of its last attempt, a skip its reason."""
    target = [fail().with_retry(2), give(1).run_if(give(False))]
    (run,) = timeline_of(target, on_failure="finish").runs
    (failed,) = [call for call in run.calls() if call.task == "fail"]
    assert (failed.status, failed.attempt, failed.error) == (Status.FAILED, 3, "ValueError: broken")
    assert [(retry.attempt, retry.error) for retry in run.retries()] == [
        (1, "ValueError: broken"),
        (2, "ValueError: broken"),
    ]
    reasons = {skip.task: skip.reason for skip in run.skips()}
    assert reasons["give"] is SkipReason.CONDITION_FALSE
    assert run.status is Status.FAILED


def test_trees_tell_which_call_returned_them() -> None:
    """A tree that a call returned names the place of that call; rounds of a loop are numbered."""
    (run,) = timeline_of([give(give(1)), count(3)]).runs
    trees = [*run.trees()]
    assert [tree.number for tree in trees] == [*range(len(trees))]
    (place,) = [call.place for call in run.calls() if call.task == "count" and call.place.tree == 0]
    assert [(tree.call, tree.round, tree.names) for tree in trees[1:]] == [
        (place, round_, ("count",)) for round_ in range(3)
    ]
    assert [(loop.call, loop.rounds) for loop in run.loops()] == [(place, 3)]
    assert len(trees[0].structure) == len(trees[0].names)


def test_maps_tell_their_size() -> None:
    """A map is there with its size, its items as calls of their own; the figures count the items alone."""
    timeline = timeline_of([give.map(range(20)), rest.map([0.0] * 3)])
    (run,) = timeline.runs
    assert {(each.task, each.size) for each in run.maps()} == {("give", 20), ("rest", 3)}
    items = [call.place.item for call in run.calls() if call.task == "give" and not call.is_map]
    assert items == [*range(20)]
    figures = timeline.tasks()
    assert (figures["give"].calls, figures["give"].known) == (20, 20)
    assert (figures["rest"].calls, figures["rest"].known) == (3, 3)


def test_after_max_calls_the_figures_go_on() -> None:
    """Beyond `max_calls` nothing is kept call by call, and the figures count all calls."""
    timeline = timeline_of(give.map(range(5_000)), cs.Timeline(max_calls=100))
    (run,) = timeline.runs
    assert len([*run.calls()]) <= 100
    assert run.kept + run.folded == 5_001
    figures = timeline.tasks()["give"]
    assert figures.calls == figures.known == 5_000
    assert 0 < figures.shortest <= figures.quantile(0.5) <= figures.longest
    assert figures.total == pytest.approx(figures.mean * 5_000)


def test_counters_alone_keep_no_times() -> None:
    """With `timed=False` there are counts of calls and skips, and what each task took, but no calls."""
    timeline = timeline_of(
        [give.map(range(50)), give(1).run_if(give(False)), count(9)], cs.Timeline(timed=False)
    )
    assert [*timeline.calls()] == []
    figures = timeline.tasks()
    assert figures["give"].calls == 51
    assert figures["give"].skips == {SkipReason.CONDITION_FALSE: 1}
    assert figures["count"].calls == 10
    assert figures["give"].timed == 51
    assert 0 < figures["give"].total < 10
    assert figures["give"].longest == 0.0


def test_quantiles_are_near() -> None:
    """A quantile is within 3 percent of a call's time, from the shortest to the longest."""

    @cs.task
    async def wait(seconds: float) -> None:
        await asyncio.sleep(seconds)

    timeline = timeline_of(wait.map([0.001 * each for each in range(1, 40)]))
    durations = sorted(call.duration for call in timeline.calls() if not call.is_map)
    figures = timeline.tasks()["wait"]
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        exact = durations[max(0, -int(-share * len(durations) // 1) - 1)]
        assert figures.quantile(share) == pytest.approx(exact, rel=0.035)


async def test_one_timeline_takes_several_runs_at_once() -> None:
    """Runs of one engine, and of several, each have a part of their own."""
    timeline = cs.Timeline()
    async with cs.Engine(timeline=timeline) as one, cs.Engine() as other:
        await asyncio.gather(
            one.run(give(rest(0.01)), run_id="a"),
            one.run(give(give(rest(0.01))), run_id="b"),
            other.run(rest(0.0), run_id="c", timeline=timeline),
            other.run(rest(0.0), run_id="d"),
        )
    assert {run.run_id: len([*run.calls()]) for run in timeline.runs} == {"a": 2, "b": 3, "c": 1}
    assert timeline.tasks()["rest"].calls == 3


async def test_old_runs_leave_their_figures() -> None:
    """With more than `max_runs` runs the oldest goes, and the figures of its tasks stay."""
    timeline = cs.Timeline(max_runs=2)
    async with cs.Engine(timeline=timeline) as engine:
        for name in "abcd":
            await engine.run(give(1), run_id=name)
    assert [run.run_id for run in timeline.runs] == ["c", "d"]
    assert timeline.tasks()["give"].calls == 4


async def test_a_timeline_is_read_while_the_run_goes_on() -> None:
    """What is under way is seen, and what has ended; also in another thread."""
    timeline, seen = cs.Timeline(), list[object]()

    @cs.task
    async def look() -> None:
        def read() -> None:
            (run,) = timeline.runs
            seen.append((run.status, {call.task for call in run.running()}, len([*run.calls()])))
            seen.append(timeline.tasks()["look"].running)

        await asyncio.to_thread(read)

    async with cs.Engine(timeline=timeline) as engine:
        await engine.run(look().after(give(1)))
    assert seen == [(None, {"look"}, 1), 1]
    assert timeline.runs[0].running() == []


@pytest.mark.parametrize("given", [{"max_calls": -1}, {"max_calls": True}, {"max_runs": 0}])
def test_what_can_not_be_meant_is_refused(given: Any) -> None:
    """Counts are whole numbers, and only a `Timeline` is a timeline."""
    with pytest.raises(SpecError):
        cs.Timeline(**given)
    with pytest.raises(SpecError, match="give a Timeline"):
        cs.Engine(timeline=3)  # type: ignore[arg-type]


async def test_a_timeline_and_a_listener_agree() -> None:
    """The calls of a timeline are those that have ended by the events, in the same order."""
    timeline, ends = cs.Timeline(), list[TaskExecutionFinished]()
    async with cs.Engine(timeline=timeline) as engine:
        engine.bus.subscribe(TaskExecutionFinished, ends.append)
        await engine.run([give.map(range(5)), give(rest(0)), count(5)])
    assert [(call.id, call.task, call.status) for call in timeline.calls()] == [
        (end.task_id, end.task_name, end.status) for end in ends
    ]
    assert [call.duration for call in timeline.calls()] == pytest.approx([end.duration for end in ends])


@pytest.mark.parametrize("limit", [0, 1_000])
def test_a_long_loop_stays_small(limit: int) -> None:
    """A loop of 300,000 rounds with a timeline and a listener holds no more in the end than in the beginning."""

    async def main() -> tuple[cs.Timeline, list[int]]:
        timeline, blocks, heard = cs.Timeline(max_calls=limit), list[int](), [0]
        async with cs.Engine(timeline=timeline) as engine:

            def hear(event: TaskExecutionFinished) -> None:
                heard[0] += 1
                if heard[0] % 10_000 == 0:
                    blocks.append(sys.getallocatedblocks())

            engine.bus.subscribe(TaskExecutionFinished, hear)
            await engine.run(count(300_000))
        return timeline, blocks

    timeline, blocks = asyncio.run(main())
    assert timeline.tasks()["count"].calls == 300_001
    assert sum(run.kept for run in timeline.runs) <= limit
    assert max(blocks[1:]) < blocks[0] + 10_000


async def test_a_long_loop_is_read_in_another_thread() -> None:
    """Another thread sees the calls of a loop grow, and each look is whole."""
    timeline, seen, done = cs.Timeline(max_calls=20_000), list[tuple[int, int]](), threading.Event()

    def read() -> None:
        while not done.is_set():
            for run in timeline.runs:
                calls = [*run.calls()]
                assert [call.place.tree for call in calls] == [*range(len(calls))]
                figures = run.tasks().get("count")
                if figures is not None:
                    assert figures.calls >= len(calls)
                    seen.append((len(calls), figures.calls))

    reader = asyncio.create_task(asyncio.to_thread(read))
    try:
        await cs.arun(count(60_000), timeline=timeline)
    finally:
        done.set()
        await reader
    assert seen == sorted(seen)
    assert timeline.tasks()["count"].calls == 60_001


@pytest.mark.parametrize("shape", ["chain", "fan_out", "map", "loop", "flight", "coroutines"])
async def test_who_ends_the_program_from_a_handler_ends_the_run(shape: str) -> None:
    """`KeyboardInterrupt` of a handler ends the run, wherever the call is that it hears of; all calls are told."""
    targets: dict[str, Any] = {
        "chain": give(give(give(1))),
        "fan_out": [give(each) for each in range(100)],
        "map": give.map(range(100)),
        "loop": count(100),
        "flight": [give(rest(0)), rest(0)],
        "coroutines": rest.map([0.0] * 20),
    }
    timeline, ends = cs.Timeline(), list[str]()
    async with cs.Engine(timeline=timeline) as engine:
        for _ in range(4):  # so that code is written for the structure
            await engine.run(targets[shape])

        def hear(event: TaskExecutionFinished) -> None:
            ends.append(event.task_id)
            if len(ends) == 2:
                raise KeyboardInterrupt

        engine.bus.subscribe(TaskExecutionFinished, hear)
        with pytest.raises(KeyboardInterrupt):
            await engine.run(targets[shape])
    run = timeline.runs[-1]
    assert [call.id for call in run.calls()] == ends
    assert run.status is Status.FAILED


def test_values_and_tasks_are_let_go() -> None:
    """A timeline that is kept keeps neither the values of its runs nor their tasks alive."""

    class Weight:
        pass

    def build() -> tuple[Any, list[weakref.ref[Any]]]:
        @cs.task
        def carry(weight: Any) -> Any:
            return weight

        @cs.task
        async def lift(weight: Any) -> Any:
            return weight

        weights = [Weight() for _ in range(3)]
        references = [weakref.ref(each) for each in (*weights, carry, lift)]
        return [carry(weights[0]), lift(weights[1]), carry.map([weights[2]])], references

    target, references = build()
    timeline = timeline_of(target)
    del target
    gc.collect()
    assert [reference() for reference in references] == [None] * 5
    assert {call.task for call in timeline.calls()} == {"carry", "lift", "gather"}
