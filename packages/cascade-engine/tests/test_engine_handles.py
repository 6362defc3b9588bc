"""Claims about handles: values stay where they are made, and come here only where somebody looks at them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from support.far_executor import FarChains, FarChunks, FarExecutor, FarHandle

import cascade as cs
from cascade.adapters.executors import HandleLostError, HandleUsedError


@cs.task(on="far")
def make(value: Any) -> Any:
    return value


@cs.task(on="far")
def add(*values: Any) -> Any:
    return sum(values)


@cs.task(on="far")
def total(values: Any) -> Any:
    return sum(values)


@cs.task
def look(value: Any) -> Any:
    assert type(value) is not FarHandle
    return value


@cs.task(on="other")
def elsewhere(value: Any) -> Any:
    assert type(value) is not FarHandle
    return value


@pytest.fixture(params=[FarExecutor, FarChunks, FarChains], ids=["single calls", "chunks", "chains"])
def far(request: pytest.FixtureRequest) -> FarExecutor:
    made: FarExecutor = request.param()
    return made


def run(target: Any, far: FarExecutor, **settings: Any) -> Any:
    return cs.run(target, executors={"far": far, "other": FarExecutor()}, **settings)


def test_a_value_that_nobody_looks_at_never_comes_here(far: FarExecutor) -> None:
    """Of a chain on a worker only the run's own value is fetched."""
    value = make(1)
    for _ in range(10):
        value = add(value, 1)
    assert run(value, far) == 11
    assert far.calls == {"make": 1, "add": 10}
    assert far.fetched == {"add": 1}


def test_gathered_values_stay_where_they_are(far: FarExecutor) -> None:
    """A list, a dict, a gathered list, a map and a map of a map are handed to the next call there as they are."""
    for target, value in [
        (total([make(1), make(2)]), 3),
        (total(cs.gather(make(1), make(2))), 3),
        (total(make.map(value=[1, 2, 3])), 6),
        (total(make.map(value=make.map(value=[1, 2, 3]))), 6),
        (total(cs.gather(cs.gather(make(1), make(5))[0], make(2))), 3),
        (total(make.map(value=[make(1), make(2)])), 3),
    ]:
        far.fetched.clear()
        assert run(target, far) == value
        assert far.fetched == {"total": 1}


def test_each_place_that_looks_at_a_value_fetches_it_once(far: FarExecutor) -> None:
    """Conditions, selectors, amounts, inputs of maps, arguments of calls here and cache keys are fetched, once."""
    routed = cs.Router(selector=make("a"), routes={"a": add(1, 1), "b": add(2, 2)})
    for target, value, fetched in [
        (add(1, 1).run_if(make(True)), 2, {"make": 1, "add": 1}),
        (add(routed, 1), 3, {"make": 1, "add": 1}),
        (add(1, 1).with_constraints(gpu=make(1)), 2, {"make": 1, "add": 1}),
        (total(make.map(value=total.map(values=[[1], [2]]))), 3, {"total": 1}),
        (total(make.map(value=make([1, 2]))), 3, {"make": 1, "total": 1}),
        (look(make(1)), 1, {"make": 1}),
        (look([make(1), {"a": make(2)}]), [1, {"a": 2}], {"make": 2}),
        (look(make.map(value=[1, 2])), [1, 2], {"make": 2}),
        (look.map(value=[make(1), make(2)]), [1, 2], {"make": 2}),
        (add(make(1), 1).with_cache(cs.ByInputs()), 2, {"make": 1, "add": 1}),
        (elsewhere(make(1)), 1, {"make": 1}),
        ([make(1), {"a": make(2)}], [1, {"a": 2}], {"make": 2}),
        (add(make(1), look(make(2))), 3, {"make": 1, "add": 1}),
    ]:
        far.fetched.clear()
        assert run(target, far, system_resources={"gpu": 1}) == value
        assert far.fetched == fetched, target


def test_a_value_may_be_looked_at_here_and_used_there(far: FarExecutor) -> None:
    """What a call there takes is not sent back to it because a call here looks at it too."""
    first = make(1)
    assert run([look(first), add(first, 1)], far) == [1, 2]
    assert far.fetched == {"make": 1, "add": 1}
    assert far.taken == {"add": 1}


def test_calls_that_go_together_are_told_apart_by_what_becomes_of_their_values(far: FarExecutor) -> None:
    """Of many calls of one task those that are looked at come here, and the others stay."""
    made = [make(number) for number in range(20)]
    assert run([total(made), *map(look, made[::2])], far) == [sum(range(20)), *range(0, 20, 2)]
    assert far.fetched == {"make": 10, "total": 1}


def test_parts_are_taken_where_the_whole_is(far: FarExecutor) -> None:
    """An item and the parts of a value on a worker are calls there; only what is looked at comes here."""
    whole = make({"small": 1, "large": list(range(1000))})
    assert run(look(whole["small"]), far) == 1
    assert far.fetched["make"] == 0
    far.fetched.clear()
    one, two = cs.unpack(make((1, 2)), 2)
    assert run(add(one, two), far) == 3
    assert far.fetched == {"add": 1}
    with pytest.raises(KeyError, match="huge"):
        run(look(whole["huge"]), far)


def test_a_router_hands_a_handle_on(far: FarExecutor) -> None:
    """Of a route's value nothing is fetched for a call there, whether the router is an argument or a value itself."""
    for key, value in [(1, 11), (2, 21)]:
        for as_value in (False, True):
            far.fetched.clear()
            router = cs.Router(selector=look(key), routes={1: make(10), 2: make(20)})
            given = cs.pipeline(router, [lambda each: each]) if as_value else router
            assert run(add(given, 1), far) == value
            assert far.fetched == {"add": 1}


def test_a_handle_goes_through_returned_trees(far: FarExecutor) -> None:
    """A call here that returns a call there stands for its value; that stays, unless somebody looks."""

    @cs.task
    def returns(value: int) -> Any:
        return make(value)

    assert run(add(returns(1), 1), far) == 2
    assert far.fetched == {"add": 1}
    assert run(look(returns(3)), far) == 3
    assert run(returns(3), far) == 3
    assert run([returns(3)], far) == [3]
    assert run(returns([5])[0], far) == 5
    assert run(cs.map(returns, value=[1, 2]), far) == [1, 2]
    assert run(total(cs.map(returns, value=[1, 2])), far) == 3
    assert run(add(1).run_if(returns(0), otherwise=7), far) == 7


def test_a_call_there_may_return_a_tree(far: FarExecutor) -> None:
    """A lazy result that a worker returns comes here and is run, in a loop too."""

    @cs.task(on="far")
    def count(left: int, done: int) -> Any:
        return count(left - 1, done + 1) if left else done

    assert run(count(50, 0), far) == 50

    @cs.task(on="far")
    def several() -> Any:
        return [make(1), 2, make(3)]

    assert run(total(several()), far) == 6


def test_values_are_let_go(far: FarExecutor) -> None:
    """What nothing needs any more is freed there, while the run goes on."""
    left = []

    @cs.task
    def count_left(*_: Any) -> None:
        left.append(len(far.store))

    value = make(1)
    for _ in range(20):
        value = add(value, 1)
    run([count_left().after(value)], far)
    assert left[0] <= 2
    assert not far.store


def test_a_handle_is_no_value() -> None:
    """A handle has no truth value, length, hash, items or equality, and can't be pickled: each use has an error."""
    far = FarExecutor()
    caught: list[str] = []

    class Looking(FarExecutor):
        async def execute(self, node: Any, args: Any, kwargs: Any) -> Any:
            (handle,) = args
            for use in (bool, len, hash, list, lambda each: each == 1, lambda each: each.__reduce__()):
                with pytest.raises(
                    HandleUsedError, match="'make' is on a worker: its handle has no "
                ) as error:
                    use(handle)
                caught.append(error.value.use)
            return "looked"

    looking = Looking()
    assert cs.run(add(make(1)), executors={"far": looking}) == "looked"
    assert caught == ["truth value", "length", "hash", "items", "equality", "bytes"]
    assert not far.store


def test_a_lost_value_names_its_node(far: FarExecutor) -> None:
    """Who looks at a value that is gone gets an error with the task and the place of the node that gave it."""

    @cs.task
    def lose(*_: Any) -> int:
        far.store.clear()
        return 1

    made = make(1)
    with pytest.raises(HandleLostError, match=r"the value of task 'make' \(root\.args\.0\) is lost"):
        run(add(made, lose().after(made)), far)


@pytest.mark.parametrize("durable", [True, False])
def test_a_recorded_run_has_values(far: FarExecutor, tmp_path: Path, durable: bool) -> None:
    """A record has the values themselves, so a run that goes on needs no worker of the one before."""
    made = []

    @cs.task
    def fail_once(value: int) -> int:
        made.append(value)
        if len(made) == 1:
            raise OSError("down")
        return value

    state: Any = {"state": f"sqlite:///{tmp_path}/runs.db", "run_id": "r"} if durable else {}
    target = fail_once(add(make(1), 1))
    with pytest.raises(OSError, match="down"):
        run(target, far, **state)
    calls = far.calls.copy()
    assert run(target, far, **state) == 2
    assert (far.calls == calls) is durable


def test_a_preview_sees_values(far: FarExecutor) -> None:
    """Previews are made of values, not of handles."""
    seen: list[Any] = []

    def preview(value: object) -> str:
        seen.append(value)
        return repr(value)

    bus = cs.MessageBus()
    bus.subscribe(cs.runtime.events.TaskExecutionFinished, lambda _: None)
    assert run(add(make(1), 1), far, preview=preview, bus=bus) == 2
    assert seen == [1, 2]


# Where a call is made


def thread() -> str:
    return threading.current_thread().name


@cs.task
def anywhere() -> str:
    return thread()


@cs.task(mode="thread")
def in_a_thread() -> str:
    return thread()


@cs.task(on="far", mode="thread")
def named() -> str:
    return thread()


@cs.task
async def on_the_loop() -> str:
    return thread()


@cs.task(on="far")
async def sent() -> str:
    return thread()


def test_on_comes_before_mode_and_mode_before_the_executor() -> None:
    """A call goes where its `on=` says, then where its `mode=` says, then to the executor of the engine."""
    far, default = FarExecutor(), FarExecutor()
    values = cs.run(
        [anywhere(), in_a_thread(), named(), on_the_loop(), sent()],
        executor=default,
        executors={"far": far},
    )
    main = thread()
    assert values[0] == values[2] == values[3] == values[4] == main
    assert values[1] != main
    assert far.calls == {"named": 1, "sent": 1}
    assert default.calls["anywhere"] == 1
    assert default.calls["in_a_thread"] == 0


def test_internal_tasks_of_values_here_are_no_calls_there() -> None:
    """With an executor for all calls, items of values that are here are still taken here."""
    far = FarExecutor()
    assert cs.run(on_the_loop()[0:2], executor=far) == "Ma"
    assert far.calls == {"on_the_loop": 1, "item": 1}
    assert not far.taken
