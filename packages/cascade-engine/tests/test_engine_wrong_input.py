"""Claims about wrong input: one clear error of Cascade's own, before anything runs wherever that can be known."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import (
    DependencyMissingError,
    ResourceNotFoundError,
    RouteNotFoundError,
    UnknownParamError,
)
from cascade.spec import CallError, NotLazyError, PolicyError, SpecError

made: list[object] = []


@cs.task
def note(value: object = None) -> object:
    made.append(value)
    return value


@cs.task
def add(x: int, y: int = 0) -> int:
    return x + y


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: add(note(), 2, 3), "task 'add': too many positional arguments"),
        (lambda: add(note(), z=3), "task 'add': got an unexpected keyword argument 'z'"),
        (lambda: add(y=note()), "task 'add': missing a required argument: 'x'"),
        (lambda: add.map(z=[note()]), "task 'add': missing a required argument: 'x'"),
    ],
)
def test_a_call_that_does_not_fit(call: Any, told: str) -> None:
    """Wrong arity or argument name is refused before anything runs; the error names the task and its signature."""
    with pytest.raises(CallError, match=told) as caught:
        cs.run(call())
    assert isinstance(caught.value, TypeError)
    assert "; its signature is add(x: " in str(caught.value)
    assert not made


def forgetful() -> Any:
    add(1)


def needy(n: int, *, m: int, k: int = 3) -> Any:
    return add(n, m + k)


async def later() -> Any:
    return add(1)


class Workflow:
    """A workflow that is an object."""

    def __call__(self, n: int) -> Any:
        return add(n)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (3, "the target is int; give the lazy result that calling a task returns"),
        (None, "the target is None; give the lazy result"),
        ("text", "the target is str; give the lazy result"),
        ({1, 2}, "the target is a set; give a list of the lazy results"),
        (add, "the target is task 'add' itself; call it: add(...)"),
        ([add(1), add], "item 1 of the target is task 'add' itself; call it: add(...)"),
        (lambda: 3, "the target is int; give the lazy result"),
        (lambda: add, "the target is task 'add' itself; call it: add(...)"),
        (forgetful, "workflow 'forgetful' returned None; write `return` in front of the lazy result"),
        (later, "workflow 'later' is an `async def`; write a plain `def`"),
        (
            needy,
            "workflow 'needy' can't be called without arguments 'n', 'm'; give what it returns, needy(...), or",
        ),
        (Workflow(), "workflow 'Workflow' can't be called without argument 'n'; give what it returns"),
    ],
)
def test_a_target_that_is_not_lazy(target: Any, told: str) -> None:
    """A target that is no lazy result, and a workflow that gives none, are one sentence with a remedy."""
    with pytest.raises(NotLazyError) as caught:
        cs.run(target)
    assert str(caught.value).startswith(told)
    assert not made


def test_a_type_error_inside_a_workflow_comes_out() -> None:
    """Only the call of a workflow is judged: what its own code raises comes out as it is."""

    def workflow() -> Any:
        return needy()  # type: ignore[call-arg]

    def wants(n: int) -> Any: ...

    for wrong, told in ((workflow, "missing 1 required"), (lambda: wants(), "missing 1 required")):  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=told) as caught:
            cs.run(wrong)
        assert not isinstance(caught.value, cs.CascadeError)


@pytest.mark.parametrize("params", [["n"], "n=5", {"n"}, 5, [("n", 5)]])
def test_parameters_are_a_dict(params: Any) -> None:
    """Parameters that are no dict of names and values are refused with what to write."""
    with pytest.raises(SpecError, match=r"params= got .*; give a dict of names and values"):
        cs.run(note(cs.Param("n", 1)), params=params)
    assert not made


def test_an_error_of_a_call_says_which_call() -> None:
    """`CallError` tells where in the tree the call is, with the path that notes have too."""
    with pytest.raises(CallError) as caught:
        cs.run([add(1), add(add(x=note(), z=1))])
    assert (caught.value.task, caught.value.place) == ("add", "root.args.0[1].args.0")
    assert "unexpected keyword argument 'z' in the call at root.args.0[1].args.0; its signature is" in str(
        caught.value
    )
    deep = add(1, 2, 3)
    for _ in range(10_000):
        deep = add(deep)
    with pytest.raises(CallError) as caught:
        cs.run(deep)
    assert len(str(caught.value)) < 1000
    assert not made


def test_an_uncaught_error_stands_alone() -> None:
    """What comes out of `cs.run` has no other error as its context."""

    @cs.task
    def fail() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        cs.run(fail())
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    done = subprocess.run(
        [sys.executable, "-c", "import cascade as cs\ncs.run(cs.task(lambda: 1 / 0)())"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "ZeroDivisionError" in done.stderr
    assert "event loop" not in done.stderr
    assert "During handling" not in done.stderr


def test_a_key_without_a_route() -> None:
    """A selector whose value has no route is an error that names the task, the argument and the known keys."""
    target = add(1, y=cs.Router(note("west"), {"north": add(1), "south": add(2)}))  # type: ignore[arg-type,unused-ignore]
    with pytest.raises(
        RouteNotFoundError, match=r"'y' of task 'add' has no route 'west'; it has 'north', 'south'"
    ):
        cs.run(target)
    with pytest.raises(RouteNotFoundError, match=r"has no route \[1\]"):
        cs.run(note(cs.Router(note([1]), {1: add(1)})))


def test_a_missing_route_is_not_retried() -> None:
    """A router without a route can't be mended by calling again."""
    with pytest.raises(RouteNotFoundError):
        cs.run(note(cs.Router(note("west"), {"north": add(1)})).with_retry())
    assert made == ["west"]


def test_a_missing_dependency_names_task_argument_and_source() -> None:
    """A skipped target is an error that names the task, the argument and the source of the missing value."""
    with pytest.raises(DependencyMissingError) as caught:
        cs.run(note(value=[add(1).run_if(add(0))]))
    error = caught.value
    assert (error.task, error.reason, error.argument, error.source) == (
        "note",
        "UpstreamSkipped_Data",
        "argument 'value[0]'",
        "add",
    )
    assert "task 'note' was skipped (UpstreamSkipped_Data): its argument 'value[0]' from task 'add'" in str(
        error
    )
    with pytest.raises(DependencyMissingError, match=r"task 'add' was skipped \(ConditionFalse\)"):
        cs.run(add(1).run_if(add(0)))


@pytest.mark.parametrize("word", ["ignore", "", None])
def test_an_unknown_word_for_failures(word: Any) -> None:
    """Another word than "stop" or "finish" is refused, before anything runs."""
    with pytest.raises(PolicyError, match="use one of 'stop', 'finish'"):
        cs.run(note(), on_failure=word)
    assert not made


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: add(note(), 2, 3), CallError),
        (lambda: note(cs.inject("missing")), ResourceNotFoundError),
        (lambda: note({note()}), SpecError),
        (lambda: cs.sequence([note(), note().with_constraints(gpu=1)]), cs.CascadeError),
        (lambda: cs.sequence([note(), note().with_timeout(1)]), cs.CascadeError),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["target", "argument"])
def test_a_later_structure_is_refused_before_its_first_node(
    wrong: Any, error: type[Exception], wrapped: bool
) -> None:
    """What is wrong with a tree that a task returned is raised before anything of it runs, naming who returned it."""

    @cs.task
    def first() -> Any:
        return wrong()

    with pytest.raises(error) as caught:
        cs.run(cs.gather(first()) if wrapped else first())
    assert not made
    assert any("task 'first'" in line for line in caught.value.__notes__)


def test_errors_survive_pickling() -> None:
    """An error goes through pickle with its facts and its text."""
    for target in (add(1, 2, 3), note(cs.inject("db")), add(1).run_if(add(0))):
        with pytest.raises(cs.CascadeError) as caught:
            cs.run(target)
        again = pickle.loads(pickle.dumps(caught.value))
        assert (type(again), str(again), vars(again)) == (
            type(caught.value),
            str(caught.value),
            vars(caught.value),
        )


def test_every_error_is_a_cascade_error_and_a_builtin_one() -> None:
    """The engine's errors are `CascadeError`s and `RuntimeError`s, and lookups where they are ones."""
    from cascade import runtime

    kinds = [
        kind for kind in vars(runtime).values() if isinstance(kind, type) and issubclass(kind, Exception)
    ]
    errors = [kind for kind in kinds if not issubclass(kind, Warning)]
    assert len(errors) >= 26
    assert all(issubclass(kind, cs.CascadeError) and issubclass(kind, RuntimeError) for kind in errors)
    assert issubclass(UnknownParamError, LookupError)


@pytest.mark.parametrize("restart", ["no", "yes", 0, 1])
def test_restart_is_true_or_false(restart: Any, tmp_path: Path) -> None:
    """A text is no answer: `restart="no"` does not delete what is recorded."""
    with pytest.raises(SpecError, match=r"restart=.*; give True or False"):
        cs.run(add(1), state=f"sqlite:///{tmp_path / 'runs.db'}", run_id="a", restart=restart)
    assert not made
