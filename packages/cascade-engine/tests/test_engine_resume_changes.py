"""Claims about runs that are begun again as others: every difference is refused by name, or kept apart."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.resuming import TROUBLE, add, count, give, give_later, item, noted, play, stopped
from support.stores import beside, recorded, rows_of

import cascade as cs
from cascade.runtime import Engine, RunChangedError
from cascade.spec import SecretValue

pytestmark = pytest.mark.usefixtures("story")


@cs.task
def asks(name: str) -> Any:
    """Return a call that reads an input which the first tree does not have."""
    noted(name)
    return add("asked", cs.Param("late", default=0), give("slow", 1))


@cs.task
def reads(name: str, value: Any) -> int:
    noted(name)
    return 1


async def refused(url: str, target: object, *told: str, **options: Any) -> None:
    """Check that a run is refused, that the text names what differs, and that nothing has run or been lost."""
    rows = rows_of(url)
    again = await play(url, target, **options)
    assert isinstance(again.error, RunChangedError), again.error
    for each in told:
        assert each in str(again.error)
    assert again.calls == []
    assert not again.events
    assert rows_of(url) == rows


@pytest.mark.parametrize("first", [0, 0.0])
async def test_a_record_does_not_depend_on_what_ran_before(url: str, first: float) -> None:
    """A run goes on whatever equal policies the process knew when it was recorded: as written, 0 is not 0.0."""
    target = add("sum", give_later("a", 1).with_retry(1, delay=0.0).with_timeout(60))
    before = add("sum", give_later("a", 1).with_retry(1, delay=first).with_timeout(60.0))
    async with Engine(state_backend_cls=recorded(url)) as engine:
        for number in range(3):
            await engine.run(before, run_id=f"before {number}")
        TROUBLE["sum"] = ValueError("sum")
        with pytest.raises(ValueError, match="sum"):
            await engine.run(target, run_id="r")
    TROUBLE.clear()
    again = await play(url, target)
    assert (again.error, again.value, again.calls) == (None, 1, ["sum"])


@cs.task
def pay(order: int) -> int:
    noted("pay")
    return order


def made_with(number: int) -> cs.Task[int]:
    @cs.task
    def made(name: str) -> int:
        noted(f"{name} with {number}")
        return number

    return made


@pytest.mark.parametrize("number", range(6))
async def test_one_of_several_tasks_of_one_name_that_has_changed_is_refused(url: str, number: int) -> None:
    """Tasks that a function makes have one name; each is told by its own code, whatever the others are."""
    await stopped(url, add("sum", made_with(7)("a"), made_with(8)("b")), "sum")
    other = add("sum", made_with(number)("a"), made_with(8)("b"))
    await refused(url, other, "task 'made' at root.args.1")
    again = await play(url, other, resume="compatible")
    assert again.value == number + 8


async def test_tasks_of_one_name_that_have_changed_places_are_refused(url: str) -> None:
    """Tasks that a function makes are not taken for each other where their code is the same as before in all."""
    await stopped(url, add("sum", made_with(7)("a"), made_with(8)("a")), "sum")
    await refused(url, add("sum", made_with(8)("a"), made_with(7)("a")), "root.args.1", "root.args.2")


async def test_other_literals_are_refused_by_place(url: str) -> None:
    """An argument that is another than the run began with is refused, and its task and place are told."""
    await stopped(url, add("sum", give("a", 1), give("b", 2)), "sum")
    await refused(url, add("sum", give("a", 1), give("b", 3)), "'give' at root.args.2 has other arguments")
    await refused(url, add("sum", give("a", True), give("b", 2)), "root.args.1")
    assert (await play(url, add("sum", give("a", 1), give("b", 2)))).calls == ["sum"]


async def test_new_tasks_are_told_in_order(url: str) -> None:
    """A run that is refused for its structure tells each new task, by name and in the order of names."""
    await stopped(url, add("sum", give("a", 1)), "sum")
    target = add("sum", pay(1), give("a", 1), reads("b", 1), item(2), made_with(1)("c"), asks("d"))
    names = sorted(
        [
            *(f"{__name__}.{name}" for name in ("made_with.<locals>.made", "pay", "reads", "asks")),
            f"{item.func.__module__}.item",
        ]
    )
    await refused(url, target, "".join(f", task '{name}' is new" for name in names))


async def test_other_keyword_arguments_are_refused_by_place(url: str) -> None:
    """A run of `pay(order=7)` is not gone on with as one of `pay(order=8)`, and gives no answer of the other order."""

    def target(order: int) -> Any:
        return add("sum", pay(order=order))

    assert (await stopped(url, target(7), "sum")).calls == ["pay", "sum"]
    await refused(url, target(8), "'pay' at root.args.1 has other arguments")
    again = await play(url, target(8), resume="compatible")
    assert (again.value, again.calls) == (8, ["pay", "sum"])
    await refused(url, target(7), "'pay' at root.args.1 has other arguments")


@pytest.mark.parametrize(
    "other",
    [
        add("sum", give("a", 1)),
        add("sum", give("a", 1), item(2)),
        add("sum", give("a", 1), [give("b", 2)]),
        add("sum", give("a", 1), give("b", 2)).run_if(give("c", 1)),
        add("sum", give("a", 1), give("b", 2).with_retry()),
        add("sum", give("a", 1), give("b", 2)).after(give("c")),
    ],
    ids=["fewer", "another task", "nesting", "a condition", "a policy", "an order"],
)
async def test_another_structure_is_refused(url: str, other: Any) -> None:
    """A structure that is another than the run began with is refused."""
    await stopped(url, add("sum", give("a", 1), give("b", 2)), "sum")
    await refused(url, other, "structure of the workflow has changed")


@pytest.mark.parametrize("where", ["map", "otherwise", "late round"])
async def test_other_data_is_refused_wherever_it_stands(url: str, where: str) -> None:
    """Items of a map and `otherwise` are data like arguments, whatever round the run is in."""
    one, other = {
        "map": (item.map(x=[1, 2]), item.map(x=[1, 3])),
        "otherwise": tuple(give("a").run_if(give("item 2", 0), otherwise=each) for each in (1, 2)),
        "late round": (count(5, "item"), count(6, "item")),
    }[where]
    await stopped(url, one, "item 2")
    await refused(url, other, "other arguments")


@pytest.mark.parametrize("kind", ["param", "env", "default"])
async def test_another_input_is_refused_by_name(url: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parameter or variable with another value is refused by name, and its value is not told."""

    def target() -> Any:
        given: dict[str, Any] = {
            "param": partial(cs.Param, "size", type=int),
            "env": partial(cs.Env, "size", type=int),
            "default": partial(cs.Param, "size", default=1, type=int),
        }
        return add("sum", reads("a", given[kind]()))

    def options(value: int) -> dict[str, Any]:
        if kind == "env":
            monkeypatch.setenv("size", str(value))
            return {}
        return {} if kind == "default" and value == 1 else {"params": {"size": value}}

    await stopped(url, target(), "sum", **options(1))
    await refused(url, target(), "input 'size' has another value", **options(4711))
    assert "4711" not in str((await play(url, target(), **options(4711))).error)
    again = await play(url, target(), **options(1))
    assert again.calls == ["sum"]


@pytest.mark.parametrize(
    "kind", ["secret", "secret given as one", "secret variable", "variable without identity"]
)
async def test_a_secret_may_be_a_new_one(url: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run goes on with another password, and with another value of a variable that is said not to matter."""

    def target() -> Any:
        given: dict[str, Any] = {
            "secret": partial(cs.Secret, "size", type=int),
            "secret given as one": partial(cs.Secret, "size", type=int),
            "secret variable": partial(cs.Env, "size", type=int, secret=True),
            "variable without identity": partial(cs.Env, "size", type=int, identity=False),
        }
        return add("sum", reads("a", given[kind]()))

    def options(value: int) -> dict[str, Any]:
        if "variable" in kind:
            monkeypatch.setenv("size", str(value))
            return {}
        return {"params": {"size": SecretValue(value) if "one" in kind else value}}

    await stopped(url, target(), "sum", **options(1))
    again = await play(url, target(), **options(4711))
    assert again.calls == ["sum"]
    assert again.error is None


async def test_an_input_of_a_later_tree_is_refused_too(url: str) -> None:
    """A parameter that only a tree returned by a task declares is part of what the run began with."""

    def flow() -> Any:
        cs.Param("late", default=0)
        return add("sum", asks("asks"))

    await stopped(url, flow, "slow", params={"late": 1})
    await refused(url, flow, "input 'late' has another value", params={"late": 2})
    again = await play(url, flow, params={"late": 1})
    assert (again.value, again.calls) == (2, ["slow", "asked", "sum"])


async def test_compatible_runs_what_changed_and_what_depends_on_it(url: str) -> None:
    """With `resume="compatible"`, other arguments run that call and its dependents; the rest is read."""

    def target(b: int) -> Any:
        return add("sum", add("a2", give("a", 1)), add("b2", give("b", b)))

    await stopped(url, target(2), "sum")
    again = await play(url, target(5), resume="compatible")
    assert again.value == 6
    assert sorted(again.calls) == ["b", "b2", "sum"]
    assert (await play(url, target(5))).calls == []
    await refused(url, target(2), "other arguments")


async def test_compatible_takes_other_inputs(url: str) -> None:
    """With `resume="compatible"`, what reads an input that has changed runs again."""

    def target() -> Any:
        return add("sum", give("a", cs.Param("p", type=int)), give("b", 1), give("last", 0))

    await stopped(url, target(), "last", params={"p": 1})
    again = await play(url, target(), params={"p": 2}, resume="compatible")
    assert (again.value, sorted(again.calls)) == (3, ["a", "last", "sum"])


async def test_compatible_decides_skips_anew(url: str) -> None:
    """With `resume="compatible"`, what was skipped because of something that has changed may run."""

    def target(on: int) -> Any:
        return add("sum", give("maybe", 1).run_if(give("on", on), otherwise=0), give("last", 0))

    await stopped(url, target(0), "last")
    again = await play(url, target(1), resume="compatible")
    assert (again.value, sorted(again.calls)) == (1, ["last", "maybe", "on", "sum"])


async def test_compatible_calls_what_a_recorded_skip_left_out(url: str) -> None:
    """With `resume="compatible"`, a call that was left out for good in the run's record is made once it is wanted."""

    def target(on: bool) -> Any:
        return add("sum", give("maybe", 1).run_if(give("on", on), otherwise=5))

    assert (await stopped(url, target(False), "sum")).calls == ["on", "sum"]
    again = await play(url, target(True), resume="compatible")
    assert (again.value, again.calls) == (1, ["on", "maybe", "sum"])


@pytest.mark.parametrize("how", ["an argument", "an input"])
async def test_compatible_keeps_no_value_whose_condition_has_become_false(url: str, how: str) -> None:
    """With `resume="compatible"`, what ran on a condition that is false now is skipped, its old value not used."""

    def target(on: bool) -> Any:
        wanted = give("on", on if how == "an argument" else cs.Param("wanted", type=bool))
        return add("sum", give("maybe", 1).run_if(wanted, otherwise=5))

    def params(on: bool) -> dict[str, bool]:
        return {} if how == "an argument" else {"wanted": on}

    first = await stopped(url, target(True), "sum", params=params(True))
    assert first.calls == ["on", "maybe", "sum"]
    again = await play(url, target(False), params=params(False), resume="compatible")
    assert (again.value, again.calls) == (5, ["on", "sum"])
    assert len(again.skips("ConditionFalse")) == 1


@pytest.mark.parametrize("more", [{}, {"otherwise": 5}], ids=["no otherwise", "otherwise"])
async def test_compatible_keeps_no_value_that_another_condition_would_skip(
    url: str, more: dict[str, int]
) -> None:
    """With `resume="compatible"`, a call whose condition is another node now is decided by that one's value."""

    def target(condition: int) -> Any:
        gates = [give("yes", True), give("no", False)]
        return add("sum", *gates, give("maybe", 1).run_if(gates[condition], **more))

    assert (await stopped(url, target(0), "sum")).calls == ["yes", "no", "maybe", "sum"]
    await refused(url, target(1), "structure of the workflow has changed")
    again = await play(url, target(1), resume="compatible")
    assert [each.task_name for each in again.skips("ConditionFalse")] == ["give"]
    assert (again.value, again.calls) == ((6, ["sum"]) if more else (None, []))


async def test_compatible_begins_a_loop_anew_if_its_beginning_changed(url: str) -> None:
    """With `resume="compatible"`, rounds that came of another beginning are not gone on with."""
    await stopped(url, count(5), "round 2")
    again = await play(url, count(3), resume="compatible")
    assert again.calls == [f"round {left}" for left in (3, 2, 1, 0)]


async def test_compatible_begins_a_loop_anew_if_an_input_of_its_beginning_changed(url: str) -> None:
    """With `resume="compatible"`, rounds that came of another input are not gone on with."""
    target = count(cs.Param("left", type=int))
    await stopped(url, target, "round 2", params={"left": 5})
    again = await play(url, target, params={"left": 3}, resume="compatible")
    assert again.calls == [f"round {left}" for left in (3, 2, 1, 0)]


@pytest.mark.parametrize("state", ["stopped", "finished"])
async def test_restart_begins_anew(url: str, state: str) -> None:
    """With `restart=True` all runs again, as whatever it is now; the facts of before are gone."""
    target = add("sum", give("a", 1), give("b", 2))
    if state == "stopped":
        await stopped(url, target, "sum")
    else:
        await play(url, target)
    again = await play(url, add("sum", give("a", 5)), restart=True)
    assert (again.value, again.calls) == (5, ["a", "sum"])
    assert (await play(url, add("sum", give("a", 5)))).calls == []
    assert rows_of(url) == 2


MODULE = """
import os
import cascade as cs
CALLS = []
def helper(x):
    return x * {factor}
@cs.task
def first(x):
    CALLS.append("first")
    return helper(x)
@cs.task
def second(x):
    CALLS.append("second")
    return x + {plus}
@cs.task
def below(x):
    CALLS.append("below")
    return x + {below}
@cs.task
def returns(x):
    CALLS.append("returns")
    return below(x)
@cs.task
def made(x):
    CALLS.append("made")
    return x + {made}
def factory(x):
    return made(x * {factory})
@cs.task
def last(*values):
    CALLS.append("last")
    if os.environ.get('FAIL'):
        raise ValueError("stopped")
    return repr(values)
def main(url, resume):
    target = last(first(1), second(1), returns(1), cs.map(factory, x=[1]))
    try:
        value = cs.run(target, state=url, run_id="r", resume=resume or None)
    except cs.CascadeError as error:
        value = str(error)
    except ValueError as error:
        value = str(error)
    print(",".join(sorted(CALLS)), value, sep="|")
"""
SAME = {"factor": 10, "plus": 1, "below": 1, "made": 1, "factory": 1}


VERSIONS = """
import os, sys, cascade, cascade.runtime.recording.recorder
folder, url, *versions = sys.argv[1:]
sys.path.insert(0, folder)
sys.dont_write_bytecode = True
for source, resume, fail in zip(*[iter(versions)] * 3):
    os.environ["FAIL"] = fail
    with open(os.path.join(folder, "flow.py"), "w") as file:
        file.write(source)
    if child := os.fork():
        assert not os.waitpid(child, 0)[1]
        continue
    import flow
    flow.main(url, resume)
    sys.stdout.flush()
    os._exit(0)
"""
Version = tuple[dict[str, int], str, str]
"""What is changed in a version, how it goes on, and whether it fails."""


def run_versions(folder: Path, url: str, *versions: Version) -> list[tuple[str, str]]:
    """Run versions of a module, each in a process of its own; return the calls and what came of it, for each."""
    given = [(MODULE.format(**{**SAME, **changed}), *how) for changed, *how in versions]
    done = subprocess.run(
        [sys.executable, "-c", VERSIONS, folder, url, *(each for version in given for each in version)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = [line.partition("|") for line in done.stdout.splitlines()]
    return [(calls, value) for calls, _, value in told]


@pytest.mark.parametrize(
    ("changed", "named", "runs"),
    [
        ({"plus": 2}, "second", "last,second"),
        ({"factor": 20}, "first", "first,last"),
        ({"below": 2}, "below", "below,last,returns"),
        ({"made": 2}, "made", "last,made"),
        ({"factory": 2}, "root.args.3 has other arguments", "last,made"),
    ],
    ids=["a task", "a helper", "a task that a task returns", "a task that a factory calls", "a factory"],
)
def test_other_code_is_refused_by_task_and_run_when_compatible(
    url: str, tmp_path: Path, changed: dict[str, int], named: str, runs: str
) -> None:
    """Code that changed between two processes is refused by the task's name; "compatible" runs it and what follows."""
    every = "below,first,last,made,returns,second"
    ((_, fresh),) = run_versions(tmp_path, beside(url), (changed, "", ""))
    stopped_, (calls, told), resumed, again = run_versions(
        tmp_path,
        url,
        ({}, "", "yes"),
        (changed, "", ""),
        (changed, "compatible", ""),
        (changed, "", ""),
    )
    assert stopped_ == (every, "stopped")
    assert calls == ""
    assert named in told
    assert "began otherwise" in told
    assert resumed == (runs, fresh)
    assert again == ("", fresh)
