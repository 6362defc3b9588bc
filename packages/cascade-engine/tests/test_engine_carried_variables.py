"""Claims about `Engine(carry=...)`: calls in other processes see the variables that are named, and no others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
from support import worker_resources as shared

import cascade as cs
from cascade.adapters.executors import CallPlace, CarriedVariableError, Interruption
from cascade.adapters.executors.call_places import Home
from cascade.runtime import Event, MessageBus, TaskExecutionStarted
from cascade.spec import SpecError

CARRY: dict[str, ContextVar[Any]] = {"tenant": shared.tenant}


@pytest.fixture(autouse=True)
def _region() -> Iterator[None]:
    """Give the other variable a value, for each test."""
    token = shared.region.set("here")
    yield
    shared.region.reset(token)


class Afar:
    """Says that it makes calls on a cluster, and must not be asked for any."""

    def place_of(self, task: object, mode: object) -> CallPlace:
        return CallPlace(Home.CLUSTER, Interruption.WAITS, Interruption.WAITS)

    async def execute(self, node: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        raise AssertionError("a call was made")


def run_with(value: Any, target: Any, **settings: Any) -> Any:
    async def main() -> Any:
        shared.tenant.set(value)
        return await cs.arun(target, **settings)

    return asyncio.run(main())


def test_other_processes_see_no_variables() -> None:
    """Without `carry` a call in another process sees none of the caller's."""
    assert run_with("ada", shared.seen(), executor="processes:1") == (None, "nowhere")


def test_those_that_are_named_travel() -> None:
    """What is named is set in the worker, single calls and items alike; other variables stay here."""
    target = cs.gather(shared.seen(), shared.seen_by.map([1, 2, 3]))
    single, items = run_with({"name": "ada"}, target, executor="processes:1", carry=CARRY)
    assert single == ({"name": "ada"}, "nowhere")
    assert items == [({"name": "ada"}, "nowhere")] * 3


def test_a_variable_without_a_value_is_not_set() -> None:
    """There is nothing to carry, and the worker has its default."""
    assert cs.run(shared.seen(), executor="processes:1", carry=CARRY) == (None, "nowhere")


def test_a_worker_forgets_what_it_was_given() -> None:
    """A value holds for its call alone, and so does what a call sets itself."""

    async def main() -> list[Any]:
        async with cs.Engine(executor="processes:1", carry=CARRY) as engine:
            engine_runs = [await engine.run(shared.seen())]
            token = shared.tenant.set("ada")
            engine_runs += [await engine.run(shared.change()), await engine.run(shared.seen())]
            shared.tenant.reset(token)
            return [*engine_runs, await engine.run(shared.seen())]

    assert asyncio.run(main()) == [
        (None, "nowhere"),
        ("ada", "nowhere"),
        ("ada", "nowhere"),
        (None, "nowhere"),
    ]


def test_the_value_is_that_of_the_call() -> None:
    """As in threads, a call sees what inline calls before it, and resources, have set."""
    target = cs.sequence([shared.set_here("later"), shared.seen_in_process()])
    assert run_with("ada", target, carry=CARRY) == ("later", "nowhere")


def test_calls_of_this_process_see_all_variables() -> None:
    """There `carry` changes nothing."""
    for executor in ("inline", "threads:1"):
        assert run_with("ada", shared.seen(), executor=executor, carry=CARRY) == ("ada", "here")


def test_a_variable_that_nobody_finds_is_refused() -> None:
    """It has to stand at the top of a module; one that does not is refused by name before anything runs."""
    started: list[TaskExecutionStarted] = []
    bus = MessageBus()
    bus.subscribe(TaskExecutionStarted, started.append)
    hidden: ContextVar[str] = ContextVar("hidden")
    hidden.set("value")
    target = cs.sequence([shared.set_here("x"), shared.seen_in_process()])
    with pytest.raises(CarriedVariableError, match=r"'hidden'.*top of no imported module.*define it there"):
        cs.run(target, carry={"hidden": hidden}, bus=bus)
    assert started == []


def test_a_value_that_can_not_be_encoded_is_refused() -> None:
    """So is a value that can't be pickled, as an argument would be."""
    with pytest.raises(CarriedVariableError, match=r"'tenant'.*can't be encoded"):
        run_with(lambda: None, shared.seen_in_process(), carry=CARRY)


def test_a_value_that_can_not_be_decoded_fails_the_call() -> None:
    """If the worker can't make it again, the call says which variable it was."""
    with pytest.raises(CarriedVariableError, match=r"'tenant'.*a worker can't take it"):
        run_with(shared.OnlyHere(), shared.seen_in_process(), carry=CARRY)


def test_a_cluster_does_not_import_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the program itself is found by processes on this machine alone: for a cluster it is refused."""
    variable: ContextVar[str] = ContextVar("of_program")
    monkeypatch.setattr(sys.modules["__main__"], "of_program", variable, raising=False)
    variable.set("value")
    with pytest.raises(CarriedVariableError, match=r"'mine'.*which a cluster does not import.*workers have"):
        cs.run(shared.seen(), executor=Afar(), carry={"mine": variable})


@pytest.mark.parametrize("wrong", [["tenant"], {"tenant": "ada"}, {1: shared.tenant}, "tenant"])
def test_the_setting_is_a_dict_of_variables(wrong: Any) -> None:
    """Anything else is refused when the engine is made."""
    with pytest.raises(SpecError, match=r'carry=\{"tenant": tenant\}'):
        cs.Engine(carry=wrong)


def test_values_show_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """No event, log or record has a value that is carried."""
    told: list[Event] = []
    bus = MessageBus()
    bus.subscribe(Event, told.append)
    store = tmp_path / "runs.db"
    target = shared.seen_length()
    settings: dict[str, Any] = {"executor": "processes:1", "state": f"sqlite:///{store}", "bus": bus}
    assert run_with("hush-hush", target, carry=CARRY, **settings) == 9
    assert "hush-hush" not in repr(told) + caplog.text
    files = [*tmp_path.iterdir()]
    assert files
    assert all(b"hush-hush" not in each.read_bytes() for each in files)
