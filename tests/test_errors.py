"""What comes out when something goes wrong: the user's own errors, and Cascade's before anything runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from observation import observe, plain_engine
from recorder import Lazy, Recorder, told_by_engine, verdicts

import cascade as cs
from cascade.graph import CycleError
from cascade.runtime import (
    Engine,
    Event,
    MapItemSkippedError,
    MessageBus,
    RequirementError,
    ResourceNotFoundError,
    RouteNotFoundError,
    UnknownParamError,
)
from cascade.spec import CallError, InputError, LazyResult, MapError, MapLengthError, WorkflowSpec


def test_the_original_exception_comes_out() -> None:
    """The very exception that a task raised comes out, and not one around it."""
    call = Recorder()
    error = ValueError("broken")
    with pytest.raises(ValueError, match="broken") as caught:
        cs.run(call("a", 1, call("b", error)))
    assert caught.value is error


def test_notes_say_which_task_where_and_which_run() -> None:
    """The exception carries notes with the task, its place in the tree and the run."""
    call = Recorder()
    with pytest.raises(ValueError, match="broken") as caught:
        cs.run(call("a", 1, [0, call("b", ValueError("broken"))]), run_id="monday")
    notes = "\n".join(caught.value.__notes__)
    assert "'b'" in notes
    assert "root.args.0[1]" in notes
    assert "monday" in notes


def test_an_item_that_fails_is_named_by_its_index() -> None:
    """The notes on the error of a map's item have its index."""

    @cs.task
    def invert(x: int) -> float:
        return 1 / x

    with pytest.raises(ZeroDivisionError) as caught:
        cs.run(invert.map(x=[2, 1, 0]))
    assert "item 2" in "\n".join(caught.value.__notes__)


def test_an_error_in_a_returned_tree_comes_out_as_it_is() -> None:
    """An exception from a tree that a task returned is the original one too, from any depth."""
    call = Recorder()
    error = ValueError("deep")
    for wrap in (lambda lazy: lazy, lambda lazy: call("above", 1, lazy)):
        inner = call("inner", lambda: call("middle", lambda: call("deep", error)))
        with pytest.raises(ValueError, match="deep") as caught:
            cs.run(wrap(inner))
        assert caught.value is error


async def test_siblings_are_cancelled_and_awaited_before_the_error_comes_out() -> None:
    """On the first failure all 63 siblings are cancelled, and have ended when the error is raised."""
    ended: list[str] = []
    begun: list[None] = []
    all_there = asyncio.Event()

    async def sibling() -> None:
        begun.append(None)
        if len(begun) == 63:
            all_there.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ended.append("sibling")

    async def fails() -> None:
        async with asyncio.timeout(20):
            await all_there.wait()
        raise ValueError("first")

    waits = cs.task(sibling)
    targets = [waits() for _ in range(63)]
    targets.insert(31, cs.task(fails)())

    with pytest.raises(ValueError, match="first"):
        await cs.arun(targets)
    assert len(ended) == 63


def test_resources_are_released_before_the_error_is_raised() -> None:
    """When the error comes out, resources are released, after the siblings have ended; the failure passes by them."""
    order: list[str] = []

    @cs.resource
    def db() -> Iterator[int]:
        try:
            yield 1
        except ValueError:
            order.append("rolled back")
            raise
        finally:
            order.append("released")

    async def sibling(db: int) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            order.append("cancelled")

    async def fails(db: int) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        raise ValueError("first")

    targets = [cs.task(sibling)(cs.inject("db")), cs.task(fails)(cs.inject("db"))]
    with pytest.raises(ValueError, match="first"):
        cs.run(targets, resources=[db])
    assert order == ["cancelled", "rolled back", "released"]


def test_what_never_started_reports_run_stopped() -> None:
    """After a failure each node that never started reports RunStopped, and what ran has its own last word."""
    call = Recorder()
    target = call(
        "a", 1, call("b", 1, call("fails", ValueError("no"), call("first"))), call("c").after(call("d"))
    )
    told = told_by_engine(
        target, on_failure="stop", make_engine=lambda bus: Engine(bus=bus, max_concurrency=1)
    )
    assert told["first"] == "Succeeded"
    assert told["fails"] == "Failed"
    assert told["a"] == told["b"] == "RunStopped"
    assert set(told.values()) <= {"Succeeded", "Failed", "RunStopped"}


def test_a_cancelled_sibling_has_a_final_event() -> None:
    """A task that had started when the run stopped is told as cancelled, once."""

    async def waits() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        raise ValueError("no")

    target = cs.gather(cs.task(waits)(), cs.task(fails)())
    assert told_by_engine(target, on_failure="stop") == {
        "waits": "Cancelled",
        "fails": "Failed",
        "gather": "RunStopped",
    }


def test_finish_runs_all_that_does_not_depend_on_the_failure() -> None:
    """With `on_failure="finish"` the rest runs, and dependents report UpstreamFailed."""
    call = Recorder()
    failing = call("fails", ValueError("no"))
    dependents = [
        call("by data", 1, failing),
        call("by order").after(failing),
        call("by condition").run_if(failing),
    ]
    target = cs.gather(*dependents, call("rest", 1, call("below")))
    told = told_by_engine(target)
    assert told == {
        "gather": "UpstreamFailed",
        "fails": "Failed",
        "by data": "UpstreamFailed",
        "by order": "UpstreamFailed",
        "by condition": "UpstreamFailed",
        "rest": "Succeeded",
        "below": "Succeeded",
    }


@pytest.mark.parametrize("failures", [1, 2, 5])
def test_finish_always_raises_a_group(failures: int) -> None:
    """With `on_failure="finish"` an ExceptionGroup holds each failure once, also if there is only one."""
    call = Recorder()
    errors = [ValueError(f"no {index}") for index in range(failures)]
    lazies = [call(f"f{index}", error) for index, error in enumerate(errors)]
    with pytest.raises(ExceptionGroup) as caught:
        cs.run(
            [*lazies, *(call(f"d{index}", 1, each) for index, each in enumerate(lazies))], on_failure="finish"
        )
    assert caught.value.exceptions == tuple(errors)


def test_finish_goes_on_with_the_other_items_of_a_map() -> None:
    """With `on_failure="finish"` the other items of a map run, and the map itself fails."""
    done: list[int] = []

    def perform(x: int) -> int:
        if x % 2:
            raise ValueError(x)
        done.append(x)
        return x

    with pytest.raises(ExceptionGroup) as caught:
        cs.run(cs.task(perform).map(range(6)), on_failure="finish")
    assert [error.args for error in caught.value.exceptions] == [(1,), (3,), (5,)]
    assert done == [0, 2, 4]


def test_a_failed_upstream_wins_over_every_skip() -> None:
    """A node with a failed and a skipped input reports UpstreamFailed."""
    call = Recorder()
    target = call("a", 1, call("f", ValueError("no"))).after(call.skipped("b")).run_if(call("yes"))
    assert told_by_engine(target)["a"] == "UpstreamFailed"


def test_nothing_else_starts_after_the_first_failure() -> None:
    """After the first failure no other node starts."""
    call = Recorder()
    with pytest.raises(ValueError, match="no"):
        cs.run(cs.gather(call("f", ValueError("no")), *(call(f"n{index}") for index in range(5))))
    assert call.ran == ["f"]


def test_base_exceptions_end_the_run_in_both_modes() -> None:
    """What is no `Exception` ends the run at once, unwrapped and never retried, also with "finish"."""

    class Leave(BaseException):
        pass

    for on_failure in ("stop", "finish"):
        call = Recorder()
        with pytest.raises(Leave):
            cs.run(cs.gather(call("f", Leave()).with_retry(max_attempts=3), call("g")), on_failure=on_failure)
        assert call.ran.count("f") == 1


def test_retries_are_counted_beyond_the_first_call() -> None:
    """`max_attempts` counts the re-tries: the call is made at most 1 + max_attempts times."""
    for allowed in range(4):
        call = Recorder()
        with pytest.raises(ValueError, match="no"):
            cs.run(call("a", ValueError("no")).with_retry(max_attempts=allowed))
        assert len(call.ran) == 1 + allowed


def test_only_the_named_exceptions_are_retried() -> None:
    """`on=` says which exceptions are retried; others come out at once."""
    call = Recorder()
    with pytest.raises(ValueError, match="no"):
        cs.run(call("a", ValueError("no")).with_retry(max_attempts=3, on=(KeyError, OSError)))
    assert call.ran == ["a"]
    with pytest.raises(FileNotFoundError):
        cs.run(call("b", FileNotFoundError()).with_retry(max_attempts=2, on=OSError))
    assert call.ran.count("b") == 3


def test_retries_of_a_map_are_for_each_item() -> None:
    """Retry of a map applies to each item on its own."""
    attempts: dict[int, int] = {}

    def flaky(x: int) -> int:
        attempts[x] = attempts.get(x, 0) + 1
        if attempts[x] <= x:
            raise ValueError(x)
        return x

    assert cs.run(cs.task(flaky).map([0, 1, 2]).with_retry(max_attempts=2)) == [0, 1, 2]
    assert attempts == {0: 1, 1: 2, 2: 3}


@cs.task
def one(x: int = 1) -> int:
    return x


def needing(**amounts: float) -> Lazy:
    return one().with_constraints(**amounts)


WRONG: list[tuple[type[Exception], Callable[[], Lazy], str]] = [
    (CallError, lambda: one(1, 2), "one"),
    (CallError, lambda: one(y=2), "'y'"),
    (ResourceNotFoundError, lambda: one(cs.inject("nobody")), "nobody"),
    (RequirementError, lambda: needing(gpu=99), "gpu"),
    (RequirementError, lambda: needing(unheard=1), "unheard"),
    (CycleError, lambda: cycle(), "one"),
    (InputError, lambda: cs.Param("wanted", type=int), "wanted"),
]
WRONG_IDS = ["arity", "name", "provider", "amount", "requirement", "cycle", "parameter"]


def cycle() -> Lazy:
    first = one()
    second = one(first)
    return cs.gather(second, cs.sequence([second, first]))


@pytest.mark.parametrize(("kind", "make", "told"), WRONG, ids=WRONG_IDS)
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_wrong_structure_is_refused_before_anything_runs(
    kind: type[Exception], make: Callable[[], Lazy], told: str, on_failure: str
) -> None:
    """What is wrong with the first structure is a CascadeError of its own, before anything runs."""
    call = Recorder()
    seen = observe(cs.gather(call("first"), call("a", 1, make())), on_failure=on_failure)
    assert type(seen.error) is kind
    assert isinstance(seen.error, cs.CascadeError)
    assert told in str(seen.error)
    assert call.ran == []
    assert seen.events == []


@pytest.mark.parametrize(("kind", "make", "told"), WRONG, ids=WRONG_IDS)
@pytest.mark.parametrize("inner", [True, False])
def test_a_wrong_later_structure_is_refused_before_its_first_node(
    kind: type[Exception], make: Callable[[], Lazy], told: str, inner: bool
) -> None:
    """A returned tree that is wrong is refused before its first node, wherever the task sat that returned it."""
    call = Recorder()
    source = call("source", lambda: cs.gather(call("first"), call("a", 1, make())))
    seen = observe(call("above", 1, source) if inner else source)
    assert type(seen.error) is kind
    assert told in str(seen.error)
    assert call.ran == ["source"]
    assert set(verdicts(seen)) == ({"source", "above"} if inner else {"source"})


def test_an_unknown_parameter_is_judged_by_the_first_structure() -> None:
    """A value for a parameter that neither first structure nor spec declares is refused, with the known ones."""
    call = Recorder()
    target = call("a", 1, cs.Param("known", default=1))
    with pytest.raises(UnknownParamError, match=r"'unknown'.*known"):
        cs.run(target, params={"unknown": 1})
    assert call.ran == []
    assert cs.run(target, params={"known": 2}) == 1


async def test_a_parameter_of_a_later_round_stands_in_the_spec_or_has_a_default() -> None:
    """A parameter that only a later round declares takes its value if the spec has it, else its default."""

    def later() -> int | LazyResult[int]:
        return cs.Param("late", default=1, type=int)

    target = cs.task(later)()
    assert await cs.arun(target) == 1
    with pytest.raises(UnknownParamError):
        await cs.arun(target, params={"late": 2})
    spec = WorkflowSpec()
    with spec.active():
        cs.Param("late", default=1, type=int)

    async with Engine() as engine:
        value = await engine.run(target, params={"late": 2}, spec=spec)
    assert value == 2


def test_a_key_without_a_route_lists_the_known_ones() -> None:
    """A selector whose key has no route fails the consumer with the key and the known ones."""
    call = Recorder()
    for key in ["z", [], {}]:
        router = cs.Router(call("s", lambda key=key: key), {"x": call("x"), "y": call("y")})
        with pytest.raises(RouteNotFoundError, match=r"'x', 'y'") as caught:
            cs.run(call("a", 1, router))
        assert caught.value.key == key
        assert caught.value.known == ("x", "y")
    assert "a" not in call.ran


def test_a_missing_route_counts_only_when_nothing_skips_the_consumer() -> None:
    """A consumer that is skipped for another reason does not fail for want of a route."""
    call = Recorder()
    target = call("a", 1, cs.Router(call("s", "z"), {"x": call("x")})).after(call.skipped("b"))
    assert told_by_engine(target)["a"] == "UpstreamSkipped_Sequence"


def test_a_skipped_item_is_an_error_that_names_its_index() -> None:
    """A map whose item is skipped fails with the item's index."""
    call = Recorder()
    target = cs.map(lambda x: call("inner", x).run_if(call("c", x != 2)), x=[0, 1, 2, 3])
    with pytest.raises(MapItemSkippedError, match="item 2"):
        cs.run(target)


def test_unequal_lengths_are_told() -> None:
    """Inputs of unequal lengths are a ValueError with the lengths, at the call or when they are known."""
    call = Recorder()

    @cs.task
    def add(x: int, y: int) -> int:
        return x + y

    with pytest.raises(MapLengthError, match="x: 2, y: 3"):
        add.map(x=[1, 2], y=[1, 2, 3])
    with pytest.raises(MapLengthError, match="x: 2, y: 3"):
        cs.run(add.map(x=[1, 2], y=call("items", [1, 2, 3])))
    assert issubclass(MapLengthError, ValueError)


@pytest.mark.parametrize("items", ["text", b"bytes", 5, None])
def test_a_single_value_is_no_input_of_a_map(items: object) -> None:
    """Strings, bytes and what can't be iterated are refused as the items of a map, also when lazy."""
    call = Recorder()
    with pytest.raises(MapError, match="one"):
        one.map(x=items)
    with pytest.raises(MapError, match="one"):
        cs.run(one.map(x=call("items", lambda: items)))


def test_a_map_starts_its_items_in_order_and_raises_the_first_failure() -> None:
    """The items of a map start in order; after a failure no later item starts."""
    begun: list[int] = []

    def perform(x: int) -> int:
        begun.append(x)
        if x >= 2:
            raise ValueError(x)
        return x

    with pytest.raises(ValueError, match="2"):
        cs.run(cs.task(perform).map(range(6)))
    assert begun == [0, 1, 2]


async def test_the_engine_goes_on_after_a_failed_run() -> None:
    """A failure leaves nothing behind: the same engine runs the next target."""
    call = Recorder()

    async with plain_engine(MessageBus()) as engine:
        results: list[Any] = []
        for gives in (ValueError("no"), 5, ValueError("no"), 6):
            target = cs.gather(call("a", gives).with_constraints(gpu=4), call("b").with_constraints(gpu=4))
            results += await asyncio.gather(engine.run(target), return_exceptions=True)
        failed, first, again, second = results
    assert isinstance(failed, ValueError)
    assert isinstance(again, ValueError)
    assert (first, second) == ([5, 1], [6, 1])


@pytest.mark.parametrize("heard", [False, True])
async def test_a_bad_tree_in_a_later_round_is_a_failure_like_others(heard: bool) -> None:
    """With `on_failure="finish"` it comes in a group, whether or not somebody listens."""

    @cs.task
    def rounds(left: int) -> Any:
        return rounds(left - 1) if left else rounds()

    bus = MessageBus()
    if heard:
        bus.subscribe(Event, lambda event: None)
    with pytest.raises(ExceptionGroup):
        await cs.Engine(bus=bus).run(rounds(3), on_failure="finish")
