"""Claims about `@cs.resource(where="worker")`: each process that makes calls opens one of its own, once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import worker_resources as shared

import cascade as cs
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.adapters.travelling.travel_errors import ResourceInputError
from cascade.runtime import (
    DriverResourceError,
    Engine,
    Event,
    MessageBus,
    ResourceAcquired,
    ResourceYieldError,
    TaskExecutionStarted,
)
from cascade.spec import SpecError
from cascade.spec.errors import ResourceReferenceError
from cascade.spec.resource import Where

HERE = ["inline", "threads:2"]
EVERYWHERE = [*HERE, "processes:1"]

_FUNCTION: Any = cs.Param("function", type=object)


def engine_with(**settings: Any) -> Engine:
    engine = Engine(**settings)
    for each in shared.RESOURCES:
        engine.register(each)
    return engine


def run(target: Any, log: Path, executor: str, **settings: Any) -> Any:
    params = {"log": str(log), **settings.pop("params", {})}
    taken = [each for each in shared.RESOURCES if set(each.inputs) and each.name != "keyed"]
    others = [each for each in shared.RESOURCES if each not in taken]
    return cs.run(target, resources=[*taken, *others], params=params, executor=executor, **settings)


def test_the_words_are_those_of_an_enum() -> None:
    """`where=` takes "driver", the default, and "worker"; another word is refused with these two."""
    assert shared.of_driver.where is Where.DRIVER
    assert shared.model.where is Where.WORKER
    with pytest.raises(SpecError, match="'driver', 'worker'"):
        cs.resource(where="workers")


@pytest.mark.parametrize("wrong", [{"scope": "task"}, {"atomic": True}])
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    """A resource of workers is shared by all calls and outlives the run: it has no scope `task` and is not atomic."""
    with pytest.raises(SpecError, match="leave out one of them"):
        cs.resource(where="worker", **wrong)


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_it_is_opened_once_and_closed_at_the_end(executor: str, tmp_path: Path) -> None:
    """All calls of all runs of an engine share one, which is opened at its first use; its end closes it."""
    log = tmp_path / "log"

    async def main() -> None:
        async with engine_with(executor=executor) as engine:
            assert await engine.run(shared.seen(), params={"log": str(log)}) == (None, "nowhere")
            assert shared.notes(log) == []  # nobody has taken it
            for _ in range(2):
                numbers = await engine.run(shared.scale.map(range(20)), params={"log": str(log)})
                assert numbers == [(2 * number, True) for number in range(20)]
            assert shared.notes(log) == ["+model"]
        assert shared.notes(log) == ["+model", "-model"]

    asyncio.run(main())


def test_each_process_opens_its_own(tmp_path: Path) -> None:
    """With two workers there are at most two, each opened and closed in its own process."""
    log = tmp_path / "log"
    assert all(here for _, here in run(shared.scale.map(range(200)), log, "processes:2"))
    lines = log.read_text().split("\n")[:-1]
    opened = [line.removeprefix("+model ") for line in lines if line.startswith("+")]
    closed = [line.removeprefix("-model ") for line in lines if line.startswith("-")]
    assert 1 <= len(opened) <= 2
    assert len({*opened}) == len(opened)
    assert sorted(opened) == sorted(closed)


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_what_it_needs_is_opened_first_and_closed_last(executor: str, tmp_path: Path) -> None:
    """A resource of workers may need others of workers, and may be an async generator, which lives in one loop."""
    log = tmp_path / "log"
    assert run([shared.ask(), shared.ask()], log, executor) == [True, True]
    assert shared.notes(log) == ["+model", "+client", "-client", "-model"]


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_it_is_injected_at_any_depth(executor: str, tmp_path: Path) -> None:
    """It is found inside of containers, and beside the idempotency key."""
    call = shared.nested({"models": [cs.inject(shared.model)]})
    assert run([call, call], tmp_path / "log", executor) == [(True, True), (True, True)]


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_other_inputs_make_another_one(executor: str, tmp_path: Path) -> None:
    """Each set of values of the inputs that it takes has a resource of its own; equal values share one."""
    log = tmp_path / "log"

    async def main() -> None:
        async with engine_with(executor=executor) as engine:
            for factor in (2, 5, 2):
                params = {"log": str(log), "factor": factor}
                assert (await engine.run(shared.scale(3), params=params))[0] == 3 * factor
        assert shared.notes(log) == ["+model", "+model", "-model", "-model"]

    asyncio.run(main())


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_it_takes_secrets(executor: str) -> None:
    """A secret reaches the resource, and no event."""
    told: list[Event] = []
    bus = MessageBus()
    bus.subscribe(Event, told.append)
    settings: dict[str, Any] = {
        "resources": [shared.keyed],
        "params": {"token": "hush"},
        "executor": executor,
        "bus": bus,
    }
    assert cs.run(shared.use_keyed(), **settings) == "hsuh"
    assert "hush" not in repr(told)


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_an_error_while_opening_fails_the_call(executor: str, tmp_path: Path) -> None:
    """What the provider raises comes out as itself, and the next attempt tries again."""
    log = tmp_path / "log"
    with pytest.raises(LookupError, match="no such model") as caught:
        run(shared.use_broken().with_retry(2), log, executor)
    assert shared.notes(log) == ["broken"] * 3
    if executor.startswith("processes"):
        assert any("in another process" in note and "in broken" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("executor", EVERYWHERE)
def test_a_provider_has_to_yield(executor: str, tmp_path: Path) -> None:
    """One that yields nothing fails the call with the error that other resources have."""
    with pytest.raises(ResourceYieldError, match="yields nothing"):
        run(shared.use_empty(), tmp_path / "log", executor)


@pytest.mark.parametrize("executor", HERE)
def test_an_error_while_closing_is_logged(
    executor: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The runs that used it are over: what its release raises is logged, and names the resource."""
    with caplog.at_level(logging.ERROR):
        assert run(shared.use_clumsy(), tmp_path / "log", executor) == "value"
    assert "while releasing resource 'clumsy': OSError: can't close" in caplog.text


def test_an_error_while_closing_a_process_is_logged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A worker logs it too, and by default that is seen on its standard error."""
    log = tmp_path / "log"
    assert run(shared.use_clumsy(), log, "processes:1") == "value"
    assert shared.notes(log) == ["-clumsy"]
    assert "while releasing resource 'clumsy': OSError: can't close" in capfd.readouterr().err


def test_a_process_that_dies_releases_nothing(tmp_path: Path) -> None:
    """A worker that dies, or is killed, has no time for a release; the one in its place opens its own."""
    log = tmp_path / "log"
    run(shared.leave(str(log)).with_retry(1), log, "processes:1")
    assert shared.notes(log) == ["+model", "left", "+model", "-model"]


@pytest.mark.parametrize("take", [shared.use_driver, shared.use_confused])
def test_a_resource_of_the_driver_does_not_travel(take: Any, tmp_path: Path) -> None:
    """A call in another process that takes one is refused by name before anything runs, whatever its value is."""
    started: list[TaskExecutionStarted] = []
    bus = MessageBus()
    bus.subscribe(TaskExecutionStarted, started.append)
    target = cs.gather(shared.scale(1), take().after(shared.scale(2)))
    with pytest.raises(DriverResourceError, match=r"'of_driver'.*where=\"worker\"") as caught:
        run(target, tmp_path / "log", "processes:1", bus=bus)
    assert caught.value.resource == "of_driver"
    assert started == []


def test_a_resource_of_the_driver_is_found_at_any_depth(tmp_path: Path) -> None:
    """The same holds for one inside of an argument, and in a task that names its mode itself."""
    call = shared.use_driver_deep([cs.inject("of_driver")])
    with pytest.raises(DriverResourceError, match="task 'use_driver_deep'"):
        run(call, tmp_path / "log", "inline")


def test_a_resource_of_workers_needs_none_of_the_driver(tmp_path: Path) -> None:
    """That is refused wherever the call is made: it would work in one place alone."""
    with pytest.raises(DriverResourceError, match="'confused'"):
        run(shared.use_confused(), tmp_path / "log", "inline")


def test_a_resource_of_the_driver_may_need_one_of_workers() -> None:
    """It gets the one of its own process."""

    @cs.resource(where="worker")
    def pool() -> Iterator[list[str]]:
        yield ["pool"]

    @cs.resource
    def session(pool: list[str] = cs.inject("pool")) -> Iterator[str]:
        yield pool[0]

    @cs.task
    def use(session: str = cs.inject("session")) -> str:
        return session

    assert cs.run(use(), resources=[pool, session]) == "pool"


def test_a_worker_has_to_find_it() -> None:
    """One that stands at the top of no module is refused before anything runs, where it would be sent by name."""

    @cs.resource(name="model", where="worker")
    def hidden() -> Iterator[None]:
        yield

    with pytest.raises(ResourceReferenceError, match="top of a module"):
        cs.run(shared.scale(1), resources=[hidden], executor="processes:1")


def test_its_inputs_have_to_be_data() -> None:
    """An input that can't be encoded is refused before anything runs; the error names the resource."""

    @cs.resource(name="model", where="worker")
    def odd(function: Any = _FUNCTION) -> Iterator[None]:
        yield

    with pytest.raises(ResourceInputError, match="'function' of resource 'model'"):
        cs.run(shared.scale(1), resources=[odd], params={"function": lambda: None}, executor="inline")


def test_another_one_may_stand_in(tmp_path: Path) -> None:
    """A test may override it under its name, for other processes too."""

    async def main() -> object:
        async with engine_with(executor="processes:1") as engine:
            engine.override_resource_provider("of_driver", shared.keyed)
            return await engine.run(shared.use_driver(), params={"token": "ab"})

    assert asyncio.run(main()) == "ba"


def test_events_tell_of_resources_of_the_run_alone(tmp_path: Path) -> None:
    """One of workers belongs to no run, so no run tells of it, in whichever process it is opened."""
    acquired: list[ResourceAcquired] = []
    bus = MessageBus()
    bus.subscribe(ResourceAcquired, acquired.append)
    for executor in EVERYWHERE:
        run(shared.scale(1), tmp_path / "log", executor, bus=bus)
    assert acquired == []


def test_it_ends_with_its_event_loop(tmp_path: Path) -> None:
    """An engine that is not closed leaves nothing open in an event loop that ends, and opens it again in the next."""
    log = tmp_path / "log"
    engine = engine_with()
    for count in (1, 2):
        assert asyncio.run(engine.run(shared.ask(), params={"log": str(log)})) is True
        assert shared.notes(log) == ["+model", "+client", "-client", "-model"] * count


def test_a_pool_may_be_given(tmp_path: Path) -> None:
    """`ProcessExecutor` is what the word `processes` makes; who makes it closes it, and so its resources."""
    log = tmp_path / "log"

    async def main() -> None:
        pool = ProcessExecutor(1)
        for _ in range(2):
            async with engine_with(executors={"pool": pool}) as engine:
                call = shared.on_pool(3)
                assert await engine.run(call, params={"log": str(log)}) == (6, True)
        assert shared.notes(log) == ["+model"]
        await pool.close()
        assert shared.notes(log) == ["+model", "-model"]

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "4"])
def test_a_pool_has_a_count(wrong: Any) -> None:
    """The number of processes is a whole number from 1."""
    with pytest.raises(SpecError, match="1 or more"):
        ProcessExecutor(wrong)
