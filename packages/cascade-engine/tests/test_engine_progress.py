"""Claims about the progress of a run: what a snapshot says of it, at any moment and from its timeline alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import cascade as cs
from cascade.runtime.progress.run_progress import RunProgress, TaskProgress
from cascade.runtime.progress.timeline_progress import progress_of


@cs.task
def give(value: Any = None) -> Any:
    return value


@cs.task
def fail() -> None:
    raise ValueError("broken")


class Watched:
    """An engine whose run can be looked at while it goes on."""

    def __init__(self, **settings: Any) -> None:
        self.timeline = cs.Timeline()
        self.settings = settings

    def run(self, target: Any, **options: Any) -> Any:
        return cs.run(target, timeline=self.timeline, **self.settings, **options)

    def now(self) -> RunProgress:
        return progress_of(self.timeline.runs[-1])

    def of(self, task: str) -> TaskProgress:
        return next(each for each in self.now().tasks if each.task == task)


@pytest.mark.parametrize("timed", [True, False])
def test_a_map_and_its_items_are_one_task(timed: bool) -> None:
    """The items of a map are counted under its task, and the map itself is not."""
    watched = Watched()
    watched.timeline = cs.Timeline(timed=timed)
    watched.run(give.map(value=range(1000)))
    progress = watched.of("give")
    assert (progress.done, progress.total, progress.running, progress.failed) == (1000, 1000, 0, 0)
    assert progress.timed == 1000
    assert progress.mean is not None
    assert watched.now().status == "Succeeded"


def test_rounds_of_a_loop_are_one_task_without_a_total_until_the_run_has_ended() -> None:
    """Nobody knows how many rounds a loop will have, so there is no total before its end."""
    watched, seen = Watched(), []

    @cs.task
    async def slow_step(left: int) -> Any:
        await asyncio.sleep(0)
        seen.append(watched.of("slow_step"))
        return slow_step(left - 1) if left else "done"

    watched.run(slow_step(5))
    assert seen[0].total == 1
    assert seen[-1].total is None
    assert watched.of("slow_step").total == 6
    assert watched.of("slow_step").done == 6


def test_what_runs_and_what_is_known_of_is_told_meanwhile() -> None:
    """While a coroutine runs it is under way, and the others of its tree are known of."""
    watched, seen = Watched(), []

    @cs.task
    async def look(value: Any) -> Any:
        await asyncio.sleep(0.001)
        seen.append(watched.now())
        return value

    watched.run(give(look(give(1))))
    progress = seen[0]
    assert progress.status is None
    by_name = {each.task: each for each in progress.tasks}
    assert by_name["look"].running == 1
    assert (by_name["give"].done, by_name["give"].total) == (1, 2)
    assert 0 < progress.elapsed < watched.now().elapsed


def test_a_failure_is_counted_and_told() -> None:
    """The last failure is named with its task, its id and its error."""
    watched = Watched()
    with pytest.raises(ValueError, match="broken"):
        watched.run(give(fail()))
    failure = watched.now().last_failure
    assert failure is not None
    assert (failure.task, failure.error, failure.retried) == ("fail", "ValueError: broken", False)
    assert failure.id
    assert watched.of("fail").failed == 1
    assert watched.now().status == "Failed"
    assert watched.now().error == "ValueError: broken"


def test_a_retry_is_counted_and_told() -> None:
    """An attempt that is followed by another is a retry, and the last failure until something else fails."""
    watched, left = Watched(), [2]

    @cs.task(retry=3)
    def flaky() -> str:
        if left.pop() if left else False:
            raise ValueError("not yet")
        return "done"

    watched.run(flaky())
    assert watched.of("flaky").retried == 1
    assert watched.of("flaky").failed == 0
    failure = watched.now().last_failure
    assert failure is not None
    assert failure.retried


def test_values_from_the_cache_are_counted() -> None:
    """A value that was in the cache is done, and not made."""
    cached = cs.task(cache=cs.ByInputs())(give.func)

    async def twice() -> RunProgress:
        timeline = cs.Timeline()
        async with cs.Engine(timeline=timeline) as engine:
            await engine.run(cached(1))
            await engine.run(cached(1))
        return progress_of(timeline.runs[-1])

    (task,) = asyncio.run(twice()).tasks
    assert (task.done, task.cached, task.made) == (1, 1, 0)


def test_skipped_calls_are_done_and_not_made() -> None:
    """A call whose condition is false is counted as skipped."""
    watched = Watched()
    with pytest.raises(cs.DependencyMissingError):
        watched.run(give(2).run_if(give(False)))
    task = watched.of("give")
    assert (task.done, task.skipped, task.made) == (2, 1, 1)


def waits_of(target: Any, looks: list[RunProgress], watched: Watched, **settings: Any) -> set[str]:
    watched.run(target, **settings)
    assert watched.now().waiting == ()
    return {each.reason for look in looks for each in look.waiting}


@pytest.mark.parametrize(
    ("policies", "settings", "reason"),
    [
        ({"gpu": 1}, {"system_resources": {"gpu": 1}}, "waits for gpu=1"),
        ({}, {"max_concurrency": 1}, "waits for a slot of max_concurrency"),
    ],
)
def test_what_calls_wait_for_is_told_for_as_long_as_they_wait(
    policies: dict[str, int], settings: dict[str, Any], reason: str
) -> None:
    """A call that waits for an amount or a slot is told of, and no longer when it has it."""
    watched, looks = Watched(), []

    @cs.task
    async def take(value: int) -> int:
        await asyncio.sleep(0.001)
        looks.append(watched.now())
        return value

    def call(value: int) -> Any:
        return take(value).with_constraints(**policies) if policies else take(value)

    assert waits_of([call(1), call(2), call(3)], looks, watched, **settings) == {reason}
    assert looks[-1].waiting == ()


def test_a_call_that_waits_for_its_value_from_another_call_is_told_of() -> None:
    """Of two calls with one cache key one waits for the other."""
    watched, looks = Watched(), []

    @cs.task(cache=cs.ByInputs())
    async def take(value: int) -> int:
        await asyncio.sleep(0.001)
        looks.append(watched.now())
        return value

    reasons = waits_of([take(1), take(1)], looks, watched)
    assert reasons == {"waits for the cache, or for a call with the same key"}


def test_the_slowest_calls_are_told_even_if_there_is_no_room_for_calls() -> None:
    """The ten calls that took longest are known, the longest first."""
    watched = Watched()
    watched.timeline = cs.Timeline(max_calls=0)

    @cs.task
    async def nap(index: int) -> int:
        await asyncio.sleep(0.05 if index == 7 else 0)
        return index

    watched.run(nap.map(index=range(500)))
    slowest = watched.now().slowest
    assert len(slowest) == 10
    assert slowest[0].id.endswith("[7]")
    assert [each.seconds for each in slowest] == sorted((each.seconds for each in slowest), reverse=True)


def test_tasks_stand_in_the_order_in_which_they_came_up() -> None:
    """The order of tasks is that in which trees told of them, and does not change while a run goes on."""
    watched, orders = Watched(), []

    @cs.task
    async def look(value: int) -> Any:
        await asyncio.sleep(0)
        orders.append([each.task for each in watched.now().tasks])
        return last(value) if value else value

    @cs.task
    async def last(value: int) -> int:
        await asyncio.sleep(0)
        orders.append([each.task for each in watched.now().tasks])
        return value

    watched.run(look(look(1)))
    assert [each.task for each in watched.now().tasks] == ["look", "last"]
    assert orders == [["look"], *[["look", "last"]] * 3]


def test_a_total_is_the_sum_of_those_of_the_tasks() -> None:
    """What a run has done is the sum over its tasks; its total is known if all of theirs are."""
    tasks = (TaskProgress("a", done=1, total=2), TaskProgress("b", done=3, total=5))
    assert RunProgress("r", 0.0, tasks=tasks).done == 4
    assert RunProgress("r", 0.0, tasks=tasks).total == 7
    assert RunProgress("r", 0.0, tasks=(*tasks, TaskProgress("c", done=1))).total is None
