"""Claims about runs that go on where they were: what is read, what runs again, and what is told of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.resuming import (
    CALLS,
    TROUBLE,
    Seen,
    add,
    count,
    count_with_parts,
    give,
    give_later,
    in_process,
    item,
    noted,
    play,
    stopped,
)
from support.stores import recorded

import cascade as cs
from cascade.runtime import DependencyMissingError, Status, TaskExecutionFinished, TaskSkipped
from cascade.spec import CodecError, RunActiveError, SpecError

pytestmark = pytest.mark.usefixtures("story")


@cs.task
def grow(name: str, below: Any = None, *after: Any) -> Any:
    """Return the next call, which is made by name."""
    noted(name)
    return BELOW[name]()


BELOW: dict[str, Any] = {
    "skipped": lambda: give("inner", 1).run_if(give("inner condition", False)),
    "pair": lambda: add("sum", give("left", 1), give("right", 2)),
    "items": lambda: item.map(x=[1, 2, 3]),
    "deep": lambda: add("upper", grow("pair"), give("beside", 5)),
}


@cs.task
def odd_value(name: str) -> object:
    noted(name)
    return object()


@cs.task
def keyed(name: str, key: str = cs.inject("idempotency_key")) -> str:
    noted(name)
    return key


@cs.task
def keyed_rounds(left: int, *keys: str, key: str = cs.inject("idempotency_key")) -> Any:
    noted(f"round {left}")
    return keyed_rounds(left - 1, *keys, key) if left else [*keys, key]


@cs.task(mode="thread")
def in_thread(name: str) -> str:
    noted(name)
    return name


async def test_what_is_finished_is_read_and_the_rest_runs(url: str) -> None:
    """After a failure the same target goes on: finished calls are not made again, what was in flight is."""
    target = add("sum", give("a", 1), add("b", give("c", 2)))
    first = await stopped(url, target, "b")
    assert first.calls[-1] == "b"
    again = await play(url, target)
    assert (again.value, again.calls) == (3, ["b", "sum"])
    assert len(again.recovered) == len(set(again.recovered)) == 2


@pytest.mark.parametrize("after", ["value", "skip", "loop"])
async def test_a_finished_run_gives_its_value_and_runs_nothing(url: str, after: str) -> None:
    """A run that has ended gives what it gave, without a call; `None` and a missing value, too."""
    target = {
        "value": give("none"),
        "skip": cs.sequence([give("a").run_if(give("c", False)), give("b")]),
        "loop": count(5),
    }[after]
    first, again = await play(url, target), await play(url, target)
    assert first.error is None
    assert first.calls
    assert (again.value, again.calls) == (first.value, [])


async def test_a_run_whose_target_is_skipped_says_so_each_time(url: str) -> None:
    """A target without a value raises the same error when its run goes on, and nothing runs."""
    target = give("a", 1).run_if(give("c", False))
    first, again = await play(url, target), await play(url, target)
    assert isinstance(first.error, DependencyMissingError)
    assert str(again.error) == str(first.error)
    assert again.calls == []
    assert [each.task_name for each in again.skips("ConditionFalse")] == ["give"]


async def test_skips_keep_their_reasons(url: str) -> None:
    """Each skip is told with its reason when the run goes on; what `otherwise` gives is there."""
    off = give("off", False)
    target = add(
        "sum",
        give("otherwise", 1).run_if(off, otherwise=4),
        add("gone", give("skipped", 1).run_if(off)).run_if(give("on", True), otherwise=5),
    )
    alone = await play(url, target, run_id="alone")
    first = await stopped(url, target, "on")
    again = await play(url, target)
    assert str(again.error) == str(alone.error).replace("alone", "r")
    assert "off" in first.calls
    assert again.calls == ["on"]
    told = {each.task_id: each.reason for each in alone.events if isinstance(each, TaskSkipped)}
    later = {each.task_id: each.reason for each in again.events if isinstance(each, TaskSkipped)}
    assert {name: later[name] for name in told} == told


async def test_routes_stay_taken(url: str) -> None:
    """A router's choice stands: the selector is not asked again, nor is another route run."""
    router = cs.Router(give("selector", "x"), {"x": give("route x", 1), "y": give("route y", 2)})
    target = add("sum", router)
    await stopped(url, target, "sum")
    again = await play(url, target)
    assert (again.value, again.calls) == (1, ["sum"])
    assert len(again.skips("Pruned_UnselectedRoute")) == 1


async def test_a_router_that_nobody_asks_again_has_chosen(url: str) -> None:
    """A run that goes on tells a route as pruned that was not chosen before, also if its router is not asked again."""
    router = cs.Router(give("selector", "x"), {"x": give("route x", 1), "y": give("route y", 2)})
    target = add("sum", give("after", 3).after(router))

    def pruned(seen: Seen) -> list[str]:
        return [each.task_id for each in seen.skips("Pruned_UnselectedRoute")]

    whole = await play(url, target, run_id="whole")
    assert len(pruned(whole)) == 1
    await stopped(url, target, "sum")
    again = await play(url, target)
    assert (again.value, again.calls) == (3, ["sum"])
    assert pruned(again) == pruned(whole)


async def test_after_and_sequences_are_kept(url: str) -> None:
    """What must come before is read like the rest, and order holds for what is left."""
    a, b, c = give("a", 1), give("b", 2), give("c", 3)
    target = cs.gather(cs.sequence([a, b, c]), give("d", 4).after(b))
    await stopped(url, target, "b")
    again = await play(url, target)
    assert again.value == [3, 4]
    assert again.calls[0] == "b"
    assert sorted(again.calls) == ["b", "c", "d"]


async def test_items_of_a_map_are_read_one_by_one(url: str) -> None:
    """Items that are finished are read, and the map's size is known."""
    target = item.map(x=[1, 2, 3, 4])
    first = await stopped(url, target, "item 3")
    again = await play(url, target)
    assert again.value == [10, 20, 30, 40]
    assert again.calls == [
        each for each in ("item 1", "item 2", "item 3", "item 4") if each not in first.calls[:-1]
    ]
    assert len(again.recovered) == 2
    assert (await play(url, target)).calls == []


async def test_a_run_that_finished_what_it_could_keeps_the_items_of_failed_maps(url: str) -> None:
    """With `on_failure="finish"`, items that gave a value are not called again because another item failed."""
    target = cs.gather(item.map(x=[1, 2, 3]), give("other"))
    await stopped(url, target, "item 2", on_failure="finish")
    again = await play(url, target, on_failure="finish")
    assert (again.value, again.calls) == ([[10, 20, 30], None], ["item 2"])


async def test_what_failed_upstream_runs_when_the_run_goes_on(url: str) -> None:
    """With `on_failure="finish"`, dependents of a failed call are left out; once it succeeds, they run."""
    target = add("sum", add("dependent", give("fails", 1)), give("other", 2))
    first = await stopped(url, target, "fails", on_failure="finish")
    assert len(first.skips("UpstreamFailed")) == 2
    again = await play(url, target, on_failure="finish")
    assert (again.value, again.calls) == (3, ["fails", "dependent", "sum"])


async def test_a_failed_tree_in_the_place_of_a_call_keeps_what_it_has(url: str) -> None:
    """With `on_failure="finish"`, what succeeded in a returned tree that failed is not run again."""
    await stopped(url, grow("pair"), "right", on_failure="finish")
    assert (await play(url, grow("pair"), on_failure="finish")).calls == ["right", "sum"]
    await stopped(url, cs.gather(grow("pair")), "right", on_failure="finish", run_id="s")
    again = await play(url, cs.gather(grow("pair")), on_failure="finish", run_id="s")
    assert (again.value, again.calls) == ([3], ["right", "sum"])


async def test_a_call_whose_tree_was_skipped_has_no_otherwise(url: str) -> None:
    """`otherwise` stands for a false condition of the call's own, not for that of the tree that it returned."""
    call = grow("skipped").run_if(give("c", True), otherwise=9)
    target = add("sum", give("x", 3).run_if(call, otherwise=4).after(give("late", count(9, "slow"))))
    alone = await play(url, target, run_id="alone")
    await stopped(url, target, "late")
    again = await play(url, target)
    assert type(again.error) is type(alone.error)
    assert again.value == alone.value


async def test_calls_that_end_while_the_run_stops_are_recorded(url: str) -> None:
    """A call that has given its value by the time a failure stops the run is not made again."""
    target = cs.gather(give_later("a", 1), give_later("b", 2), give_later("c", 3))

    @cs.task
    async def fails() -> None:
        await asyncio.sleep(0)
        noted("fails")

    TROUBLE["fails"] = ValueError()
    first = await play(url, cs.gather(target, fails()))
    assert first.error is not None
    ended = {
        each.task_id
        for each in first.events
        if isinstance(each, TaskExecutionFinished) and each.status is Status.SUCCEEDED
    }
    TROUBLE.clear()
    again = await play(url, cs.gather(target, fails()))
    assert set(again.recovered) == ended


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
@pytest.mark.parametrize("name", ["left", "sum", "beside", "upper", "end"])
async def test_trees_in_trees_go_on_inside(url: str, name: str, on_failure: str) -> None:
    """A tree in the place of a call, and one inside it, go on with what they have, wherever they were stopped."""
    target = add("end", grow("deep"), give("other", 100))
    every = ["deep", "other", "pair", "beside", "left", "right", "sum", "upper", "end"]
    first = await stopped(url, target, name, on_failure=on_failure)
    again = await play(url, target, on_failure=on_failure)
    assert again.value == 108
    assert sorted([*first.calls, *again.calls]) == sorted([*every, name])


async def test_values_that_can_not_be_stored_fail_the_task_by_name(url: str) -> None:
    """A value that the codec refuses is the task's failure: told once, with task and type; the run can go on."""
    target = add("sum", give("a", 1), odd_value("odd"))
    first = await play(url, target)
    assert isinstance(first.error, CodecError)
    assert "object" in str(first.error)
    assert any("task 'odd_value'" in note for note in first.error.__notes__)
    again = await play(url, target)
    assert isinstance(again.error, CodecError)
    assert again.calls == ["odd"]


@pytest.mark.parametrize("place", ["target", "inside", "item"])
async def test_a_next_call_of_a_local_task_is_refused_by_name(url: str, place: str) -> None:
    """A task inside a function can be run, and its call can't be recorded as what a loop goes on with."""

    @cs.task
    def local_one() -> int:
        return 1

    BELOW["local"] = local_one
    target = {
        "target": grow("local"),
        "inside": add("sum", grow("local")),
        "item": grow.map(name=["local"]),
    }[place]
    first = await play(url, target)
    assert isinstance(first.error, cs.CascadeError)
    assert "local_one" in str(first.error)
    assert (await play(url, local_one(), run_id="alone")).value == 1


@pytest.mark.parametrize("stop_at", range(6))
async def test_a_loop_goes_on_at_its_last_round(url: str, stop_at: int) -> None:
    """The run's own loop is resumed at the round that it was in, and rounds before it are not run again."""
    first = await stopped(url, count(5), f"round {stop_at}")
    again = await play(url, count(5))
    assert again.value == 7
    assert first.calls[:-1] + again.calls == [f"round {left}" for left in range(5, -1, -1)]


@pytest.mark.parametrize("name", ["inner 3", "part of inner 3", "inner 0", "sum"])
async def test_a_loop_in_the_place_of_a_call_goes_on_at_its_last_round(url: str, name: str) -> None:
    """A loop that stands for an inner call is resumed at its round, with the parts of it that are finished."""
    target = add("sum", count_with_parts(5, "inner"), give("other", 1))
    first = await stopped(url, target, name)
    again = await play(url, target)
    assert again.value == 8
    every = (await play(url, target, run_id="alone")).calls
    assert sorted([*first.calls, *again.calls]) == sorted([*every, name])


@pytest.mark.parametrize("name", ["1 loop 2", "2 loop 0", "part of 2 loop 1"])
async def test_loops_in_items_go_on_at_their_last_rounds(url: str, name: str) -> None:
    """Loops in the items of a map in a round of the run's own loop are each resumed at their rounds."""
    target = outer(2)
    first = await stopped(url, target, name)
    again = await play(url, target)
    every = await play(url, target, run_id="alone")
    assert again.value == every.value == [7, 7]
    assert sorted([*first.calls, *again.calls]) == sorted([*every.calls, name])


@cs.task
def outer(left: int, *others: Any) -> Any:
    noted(f"outer {left}")
    if not left:
        return count_with_parts.map(left=[2, 3], name=["8 loop", "9 loop"])
    loops = count_with_parts.map(left=[2, 3], name=[f"{left} loop", f"{left + 10} loop"])
    return outer(left - 1, loops)


async def test_idempotency_keys_are_one_to_a_call(url: str) -> None:
    """A key is the same for retries and when the run goes on; every other call, item, round and run has another."""
    target = [keyed("a"), keyed("b"), keyed.map(name=["c", "d"]), keyed_rounds(2)]
    alone = (await play(url, target)).value
    flat = [alone[0], alone[1], *alone[2], *alone[3]]
    assert len(set(flat)) == len(flat) == 7
    other = (await play(url, target, run_id="s")).value
    assert set(flat).isdisjoint([other[0], other[1], *other[2], *other[3]])


async def test_idempotency_keys_stay_when_a_run_goes_on(url: str) -> None:
    """The key of a call that was cut off is the one that it gets again, in retries too; a restart brings others."""
    KEYS.clear()
    target = add("sum", remembers("a").with_retry(max_attempts=2), give("b", 1))
    await stopped(url, target, "a")
    assert (await play(url, target)).error is None
    assert len(KEYS) == 4
    assert len(set(KEYS)) == 1
    await play(url, target, restart=True)
    assert len(set(KEYS)) == 2


KEYS: list[str] = []


@cs.task
def remembers(name: str, key: str = cs.inject("idempotency_key")) -> int:
    KEYS.append(key)
    noted(name)
    return 1


async def test_tasks_of_all_modes_are_recorded(url: str) -> None:
    """Values of async tasks, and of those in threads and processes, are recorded like all others."""
    parts = [give_later("async", 1), in_thread("thread"), in_process(1)]
    target = give("last", cs.gather(*parts))
    await stopped(url, target, "last")
    again = await play(url, target)
    assert again.calls == ["last"]
    assert again.value == [1, "thread", 2]
    assert len(again.recovered) == 3


async def test_nested_runs_are_recorded_each_for_itself(url: str) -> None:
    """A run inside a task has a record of its own, and is read when the outer run goes on."""
    inner = nested(url, "inner")
    target = cs.gather(inner, give("late").after(inner, nested(url, "other")))
    await stopped(url, target, "late")
    again = await play(url, target)
    assert again.calls == ["late"]
    TROUBLE["after the inner run"] = ValueError()
    assert (await play(url, nested(url, "third"), run_id="n")).error is not None
    TROUBLE.clear()
    assert (await play(url, nested(url, "third"), run_id="n")).calls == ["after the inner run"]


@cs.task
async def nested(url: str, run_id: str) -> Any:
    value = await cs.arun(add("in " + run_id, 1), state=recorded(url), run_id=run_id)
    noted("after the inner run")
    return value


async def test_caches_and_recorded_runs_go_together(url: str) -> None:
    """A cached value is recorded as the call's own, and a call that is read does not ask the cache."""
    cached = give("cached", 5).with_cache(cs.ByInputs())
    target = add("sum", cached, give("cached", 5).with_cache(cs.ByInputs()).after(cached))
    first = await stopped(url, target, "sum")
    assert first.calls == ["cached", "sum"]
    again = await play(url, target)
    assert (again.value, again.calls) == (10, ["sum"])
    assert not again.skips("CacheHit")


@pytest.mark.parametrize("moment", range(1, 12))
async def test_a_cancelled_run_goes_on(url: str, moment: int) -> None:
    """A run that is cancelled at any of its events is whole, and goes on to its end."""
    target = add("sum", give_later("a", 1), count(2, "loop"), add("b", give_later("c", 3)))

    async with cs.Engine(state_backend_cls=recorded(url)) as engine:
        running = asyncio.ensure_future(engine.run(target, run_id="r"))
        seen = []

        def note(event: object) -> None:
            seen.append(event)
            if len(seen) == moment:
                running.cancel()

        engine.bus.subscribe(cs.runtime.Event, note)
        with pytest.raises(asyncio.CancelledError):
            await running
    first = list(CALLS)
    again = await play(url, target)
    assert again.value == 11
    assert set(first) | set(again.calls) >= {"a", "c", "b", "sum", "loop 0"}


async def test_one_run_is_driven_once_at_a_time(url: str) -> None:
    """Two runs of one id in one process exclude each other, and the error says who is first; others don't."""
    async with cs.Engine(state_backend_cls=recorded(url)) as engine:
        GATES.update(reached=asyncio.Event(), opened=asyncio.Event())
        first = asyncio.ensure_future(engine.run(wait_at_gate(), run_id="r"))
        await GATES["reached"].wait()
        with pytest.raises(RunActiveError, match=r"run 'r' .* driven by process \d+ on "):
            await engine.run(wait_at_gate(), run_id="r")
        assert await engine.run(give("other", 1), run_id="s") == 1
        GATES["opened"].set()
        assert await first == "done"
        assert await engine.run(wait_at_gate(), run_id="r") == "done"


GATES: dict[str, asyncio.Event] = {}


@cs.task
async def wait_at_gate() -> str:
    GATES["reached"].set()
    await GATES["opened"].wait()
    return "done"


def test_resume_without_a_store_is_refused() -> None:
    """Where nothing is recorded, there is nothing to resume or restart."""
    with pytest.raises(SpecError, match="nothing is recorded"):
        cs.run(give("a"), restart=True)
    with pytest.raises(SpecError, match="nothing is recorded"):
        cs.run(give("a"), run_id="r", resume="compatible")


@cs.task
async def hand_over(name: str) -> Any:
    noted(name)
    return {"quoted": cs.quote([1]), "lazy": [give(f"{name} inner", 2)]}[
        "quoted" if name == "quoted" else "lazy"
    ]


async def test_what_a_call_gives_is_recorded_as_what_it_stands_for(url: str) -> None:
    """Inputs, quoted values and containers with lazy results are recorded as their values, async or not."""
    number = cs.Param("number", type=int)
    target = give("last", [add("sum", number, number), hand_over("quoted"), hand_over("lazy")])
    await stopped(url, target, "last", params={"number": 21})
    again = await play(url, target, params={"number": 21})
    assert again.calls == ["last"]
    assert again.value == [42, [1], [2]]
