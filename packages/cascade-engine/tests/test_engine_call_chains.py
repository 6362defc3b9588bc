"""Claims about chains: calls that take each other's values go to a worker together, and each is a call of its own."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from support.far_executor import FarChains

import cascade as cs
from cascade.runtime import MessageBus
from cascade.runtime.events import TaskEvent, TaskExecutionFinished, TaskExecutionStarted, TaskSkipped

made: list[Any] = []


@cs.task(on="far")
def step(value: Any) -> Any:
    made.append(value)
    return value + 1


@cs.task(on="far")
def fail(value: Any) -> Any:
    made.append(value)
    raise ValueError(value)


@cs.task(on="far")
def grow(value: int) -> Any:
    made.append(value)
    return step(value + 10)


@cs.task(on="far")
def called(_: Any) -> tuple[str, str]:
    facts = cs.current_call()
    return facts.run_id, facts.task


@cs.task
def here(value: Any) -> Any:
    return value


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


def chain(length: int, value: Any = 0) -> Any:
    for _ in range(length):
        value = step(value)
    return value


def test_a_chain_goes_out_together_and_longer_ones_follow() -> None:
    """A long chain takes few ways to the workers, and each call of it is made once."""
    far = FarChains()
    assert cs.run(chain(500), executors={"far": far}) == 500
    assert made == [*range(500)]
    assert len(far.chains) < 6
    assert sum(far.chains) <= 500


@pytest.mark.parametrize("most", [1, 2, 7])
def test_calls_that_are_given_back_are_made_in_their_turn(most: int) -> None:
    """What a worker does not begin goes out again, once, and no longer chain is sent than it makes."""
    far = FarChains(most=most)
    assert cs.run(chain(40), executors={"far": far}) == 40
    assert made == [*range(40)]
    assert max(far.chains[1:]) <= most + 1


def test_each_call_of_a_chain_has_its_own_events_and_facts() -> None:
    """Each starts after the one before it has finished, and knows what call it is."""
    bus = MessageBus()
    told: list[Any] = []
    bus.subscribe(TaskEvent, told.append)
    timeline = cs.Timeline()
    run, task = cs.run(
        called(step(step(1))), executors={"far": FarChains()}, bus=bus, timeline=timeline, run_id="r"
    )
    assert (run, task) == ("r", "called")
    assert [(type(event), event.task_id) for event in told] == [
        (kind, task_id)
        for task_id in ("n2", "n1", "n0")
        for kind in (TaskExecutionStarted, TaskExecutionFinished)
    ]
    calls = sorted(timeline.runs[0].calls(), key=lambda call: call.began)
    assert [call.worker for call in calls[:2]] == ["far", "far"]
    assert all(one.ended <= other.began for one, other in pairwise(calls))


@pytest.mark.parametrize("most", [1, 2, 3, 1000])
@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_a_call_that_fails_ends_its_chain(on_failure: Any, most: int) -> None:
    """Those after it are not made; they are skipped for the failure, or because the run has stopped."""
    bus = MessageBus()
    told: list[Any] = []
    bus.subscribe(TaskSkipped, told.append)
    target = step(step(fail(step(step(0)))))
    with pytest.raises((ValueError, ExceptionGroup)):
        cs.run(target, executors={"far": FarChains(most)}, bus=bus, on_failure=on_failure)
    assert made == [0, 1, 2]
    reason = "RunStopped" if on_failure == "stop" else "UpstreamFailed"
    assert {event.task_id: event.reason for event in told} == {"n0": reason, "n1": reason}


def test_a_tree_that_a_call_returns_is_run_before_the_rest() -> None:
    """A call in the middle may return a lazy result: what takes its value waits for that."""
    assert cs.run(step(step(grow(step(0)))), executors={"far": FarChains()}) == 14
    assert made == [0, 1, 11, 12, 13]


def test_what_else_needs_a_value_gets_it() -> None:
    """A value that two calls take, that is looked at, or that comes with a policy, ends a chain or begins one."""
    shared = step(step(0))
    total = cs.run(
        [step(shared), step(shared), here(step(shared)), step(step(shared).with_retry(max_attempts=2))],
        executors={"far": FarChains()},
    )
    assert total == [3, 3, 3, 4]
    assert sorted(made) == [0, 1, 2, 2, 2, 2, 3]


def test_limits_and_records_keep_their_meaning() -> None:
    """With a limit on calls each call of a chain takes its own slot, so none is sent ahead."""
    far = FarChains()
    assert cs.run(chain(20), executors={"far": far}, max_concurrency=2) == 20
    assert not far.chains


def test_a_stopped_run_leaves_no_call_behind() -> None:
    """A failure beside a chain ends the run; every call that was made is told as made, once."""
    bus = MessageBus()
    told: list[Any] = []
    bus.subscribe(TaskEvent, told.append)
    with pytest.raises(ValueError, match="7"):
        cs.run([chain(50), fail(7)], executors={"far": FarChains()}, bus=bus)
    finals = [event.task_id for event in told if isinstance(event, (TaskExecutionFinished, TaskSkipped))]
    assert len(finals) == len({*finals}) == 52
    finished = [event for event in told if isinstance(event, TaskExecutionFinished)]
    assert len(finished) == len(made)
