"""Lazy results as defaults of tasks' parameters, and inputs as those of resources'."""

# Calls in defaults are what is tried:
# ruff: noqa: B006, B008

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.ways import check_all_ways

import cascade as cs
from cascade.runtime import Engine, RunChangedError, UnknownParamError
from cascade.spec import CallError, ContractConflictError, InputError, SpecError, WorkflowSpec


@cs.task
def times(number: int, factor: int = 10) -> int:
    return number * factor


@cs.task
def read(x: Any = cs.Param("a", 1)) -> Any:
    return x


@cs.task
async def later(x: Any = cs.Param("a", 1), *, y: Any = times(2)) -> Any:
    return [x, y]


@cs.task
def loop(left: int, step: Any = cs.Param("a", 1), total: int = 0) -> Any:
    return loop(left - 1, total=total + step) if left else total


async def test_an_input_as_a_default_is_an_input_like_any_other() -> None:
    """A call that leaves the parameter out reads the input; one that gives it does not."""
    await check_all_ways(read, 1)
    await check_all_ways(read, 7, params={"a": 7})
    await check_all_ways(lambda: read(3), 3)
    await check_all_ways(lambda: read(x=times(1)), 10)
    await check_all_ways(lambda: [read(), read(2), later(y=0)], [5, 2, [5, 0]], params={"a": 5})
    await check_all_ways(lambda: loop(3), 6, params={"a": 2})
    with pytest.raises(UnknownParamError):
        await cs.arun(read(3), params={"a": 1})
    with pytest.raises(InputError):
        await cs.arun(read(), params={"a": "text"})


async def test_any_lazy_result_may_be_a_default() -> None:
    """A task's result, a router or a container with lazy results inside, however the parameter is given."""

    @cs.task
    def many(
        first: Any,
        second: Any = [times(1), {"k": times(2)}],
        /,
        third: Any = cs.Router(times(1), {10: "ten", 1: "one"}),
        *rest: Any,
        fourth: Any = times(3),
    ) -> Any:
        return [first, second, third, rest, fourth]

    second, third = [10, {"k": 20}], "ten"
    await check_all_ways(lambda: many(0), [0, second, third, (), 30])
    await check_all_ways(lambda: many(0, 1, 2, 3), [0, 1, 2, (3,), 30])
    await check_all_ways(lambda: many(0, third=5, fourth=6), [0, second, 5, (), 6])
    await check_all_ways(lambda: many.partial(0)(fourth=1), [0, second, third, (), 1])
    await check_all_ways(lambda: many.partial(0).map(third=[1, 2])[1], [0, second, 2, (), 30])


async def test_a_wrapper_hands_the_defaults_on() -> None:
    """A wrapper that takes any keyword is called with the lazy defaults of what it wraps."""

    def plain(first: Any, second: Any = times(2), *, third: Any = cs.Param("a", 1)) -> Any:
        return [first, second, third]

    @functools.wraps(plain)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return plain(*args, **kwargs)

    task, partial = cs.task(wrapper), cs.task(functools.partial(plain, 0))
    await check_all_ways(lambda: task(0), [0, 20, 1])
    await check_all_ways(lambda: task(0, 5), [0, 5, 1])
    await check_all_ways(lambda: task(0, third=times(1)), [0, 20, 10])
    await check_all_ways(lambda: partial(), [0, 20, 1])


def test_a_default_is_computed_once_for_all_calls() -> None:
    """All calls of one run that leave a parameter out share the lazy result that is its default."""
    calls: list[int] = []

    @cs.task
    def note() -> int:
        calls.append(1)
        return len(calls)

    @cs.task
    def take(item: int, number: Any = note()) -> Any:
        return item + number

    assert cs.run([take(0), take(10), take.map(item=[20, 30])]) == [1, 11, [21, 31]]


def test_a_default_is_declared_by_the_workflow_that_calls_the_task() -> None:
    """A workflow's inputs have those in the defaults of the tasks that it calls, and no others."""
    with WorkflowSpec().active() as spec:
        read()
        read(1)
    assert [contract.name for contract in spec.contracts] == ["a"]
    with WorkflowSpec().active() as spec:
        read(1)
    assert spec.contracts == ()
    assert cs.run(lambda: read(), params={"a": 4}) == 4
    with pytest.raises(ContractConflictError):
        cs.run([read(), cs.Param("a", 2)])


def test_a_call_that_does_not_fit_is_told_as_ever() -> None:
    """Wrong arguments of a task with lazy defaults are the usual error."""

    @cs.task
    def take(first: int, /, second: Any = times(1)) -> int:
        return first

    for target in (take(), take(1, 2, 3), take(1, other=2)):
        with pytest.raises(CallError):
            cs.run(target)


@cs.resource
def folder(path: Any = cs.Param("folder", Path("here"), type=Path)) -> Iterator[Path]:
    yield path


@cs.resource(scope="task")
async def account(
    folder: Any = cs.inject("folder"), token: Any = cs.Secret("token"), user: Any = cs.Env("WHO", "me")
) -> AsyncIterator[str]:
    yield f"{folder} {token.reveal()} {user}"


@cs.task
def where(folder: Any = cs.inject(folder)) -> str:
    return str(folder)


@cs.task
def who(account: Any = cs.inject("account"), name: Any = read()) -> str:
    return f"{account} {name}"


def test_a_resource_reads_its_inputs_when_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Params, secrets and environment variables are defaults of a resource's parameters, in both scopes."""
    monkeypatch.setenv("WHO", "you")
    assert cs.run(where(), resources=[folder]) == "here"
    assert cs.run(where(), resources=[folder], params={"folder": Path("there")}) == "there"
    given = {"folder": Path("there"), "token": "t", "a": 5}
    assert cs.run(who(), resources=[folder, account], params=given) == "there t you 5"


def test_inputs_of_resources_are_checked_before_anything_runs() -> None:
    """A missing or wrong input of a resource that the tree takes is told first; others of a resource are known."""
    for params, error in (({}, "no value given"), ({"token": 1}, "give str")):
        with pytest.raises(InputError, match=error):
            cs.run(who(), resources=[folder, account], params=params)
    assert cs.run(where(), resources=[folder, account]) == "here"
    assert cs.run(where(), resources=[folder, account], params={"token": "t"}) == "here"
    with pytest.raises(UnknownParamError, match="folder"):
        cs.run(where(), resources=[folder], params={"floder": Path("x")})


def test_a_resource_takes_no_other_lazy_result() -> None:
    """The result of a task as a resource's default is refused where it is written."""
    with pytest.raises(SpecError, match=r"whose default is <LazyResult of 'times'>; give cs\.Param"):

        @cs.resource
        def wrong(number: Any = times(1)) -> Iterator[int]:
            yield number

    with pytest.raises(SpecError, match="positional-only"):

        @cs.resource
        def hidden(number: Any = cs.Param("n", 1), /) -> Iterator[int]:
            yield number


def test_the_inputs_of_resources_are_part_of_a_recorded_run(tmp_path: Path) -> None:
    """A run that goes on with another input of a resource is refused; a secret is not compared."""
    state = f"sqlite:///{tmp_path}/runs.db"
    failing = [True]

    @cs.task
    def check(value: str) -> str:
        if failing:
            raise RuntimeError("not yet")
        return value

    def run(**params: Any) -> Any:
        given = {"folder": Path("x"), "token": "t", **params}
        settings: Any = {"resources": [folder, account], "state": state, "run_id": "r"}
        return cs.run(check(who(name=1)), params=given, **settings)

    with pytest.raises(RuntimeError, match="not yet"):
        run()
    failing.clear()
    with pytest.raises(RunChangedError, match="input 'folder' has another value"):
        run(folder=Path("y"))
    assert run(token="another") == "x t me 1"


async def test_an_override_of_a_resource_has_its_own_inputs() -> None:
    """A provider that takes another's place reads the inputs that it declares itself."""

    @cs.resource(name="folder")
    def other(path: Any = cs.Param("other", "elsewhere")) -> Iterator[str]:
        yield path

    async with Engine() as engine:
        engine.register(folder)
        first = await engine.run(where())
        engine.override_resource_provider("folder", other)
        value = [first, await engine.run(where(), params={"other": "o"})]
    assert value == ["here", "o"]
