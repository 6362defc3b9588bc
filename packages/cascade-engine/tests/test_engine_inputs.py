"""Claims about inputs at run time: what is checked before anything runs, and what a later round may declare."""

from __future__ import annotations

from typing import Any

import pytest

import cascade as cs
from cascade.runtime import Engine, UnknownParamError
from cascade.spec import ContractConflictError, InputError, SecretValue, WorkflowSpec


@cs.task
def give(value: Any, *others: Any) -> Any:
    return value


class Calls:
    def __init__(self) -> None:
        self.made: list[object] = []

    def before(self, target: Any) -> cs.LazyResult[Any]:
        """Order a call before the target, to see whether anything has run."""
        return cs.sequence([self.note(), target])

    @cs.task
    def note(self) -> None:
        self.made.append(1)


@pytest.fixture
def calls() -> Calls:
    return Calls()


def test_a_param_gives_its_value() -> None:
    """A `Param` is a lazy result like any other: an argument, a condition, a selector, a target."""
    flag = cs.Param("flag", type=bool)
    params = {"flag": True}
    assert cs.run(flag, params=params) is True
    assert cs.run(give([{"k": flag}]), params=params) == [{"k": True}]
    assert cs.run(give(1).run_if(flag), params=params) == 1
    assert cs.run(give(cs.Router(flag, {True: give("yes"), False: give("no")})), params=params) == "yes"


def test_a_default_stands_in() -> None:
    """A `Param` that is not given has its default, `None` and other falsy ones among them."""
    assert cs.run([cs.Param("a", default=None), cs.Param("b", default=0), cs.Param("c", default="")]) == [
        None,
        0,
        "",
    ]
    assert cs.run(cs.Param("b", default=0), params={"b": 5}) == 5


def test_an_unknown_parameter_is_refused(calls: Calls) -> None:
    """A value for a name that nobody declares is refused before anything runs; the error lists the known ones."""
    target = calls.before(give(cs.Param("width", default=1), cs.Param("height", default=1)))
    with pytest.raises(UnknownParamError, match="no parameter 'widht'; it has: height, width"):
        cs.run(target, params={"widht": 3})
    with pytest.raises(UnknownParamError, match="it has: none"):
        cs.run(give(1), params={"x": 3})
    assert not calls.made


def test_a_missing_parameter_is_refused(calls: Calls) -> None:
    """A required parameter without a value is refused before anything runs; the error names it and the remedy."""
    with pytest.raises(InputError, match=r"Param\('n', type=int\): no value given; pass params={'n': ...}"):
        cs.run(calls.before(give(cs.Param("n", type=int))))
    assert not calls.made


@pytest.mark.parametrize(
    ("kind", "value"), [(int, "3"), (int, True), (str, 3), (float, "1"), (list[int], ["1"])]
)
def test_an_ill_typed_parameter_is_refused(calls: Calls, kind: Any, value: object) -> None:
    """A value given in code is checked and not converted, before anything runs; the error names both types."""
    with pytest.raises(InputError, match=f"got .*, a {type(value).__name__}; give"):
        cs.run(calls.before(give(cs.Param("n", type=kind))), params={"n": value})
    assert not calls.made


def test_an_int_is_a_float() -> None:
    """A whole number is taken where a `float` is declared."""
    assert cs.run(cs.Param("x", type=float), params={"x": 3}) == 3


def test_two_contracts_for_one_name_are_refused(calls: Calls) -> None:
    """Two declarations of one name that differ are both named; equal ones are one."""
    with pytest.raises(ContractConflictError, match=r"Param\('n', type=int\) and Param\('n', type=str\)"):
        cs.run(calls.before(give(cs.Param("n", type=int), cs.Param("n"))), params={"n": 1})
    assert not calls.made
    assert cs.run(give(cs.Param("n", type=int), cs.Param("n", type=int)), params={"n": 1}) == 1


def test_an_environment_variable_is_read_when_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Env` converts the variable's text by its type, at each run; without it the default stands in."""
    port = cs.Env("CASCADE_TEST_PORT", default=80, type=int)
    assert cs.run(port) == 80
    monkeypatch.setenv("CASCADE_TEST_PORT", "8080")
    assert cs.run(port) == 8080


def test_a_missing_or_ill_typed_variable_is_refused(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    """A required variable that is not set, or whose text is of another type, is refused before anything runs."""
    target = calls.before(give(cs.Env("CASCADE_TEST_PORT", type=int)))
    with pytest.raises(InputError, match="CASCADE_TEST_PORT is not set"):
        cs.run(target)
    monkeypatch.setenv("CASCADE_TEST_PORT", "eighty")
    with pytest.raises(InputError, match="'eighty' can't be read as int"):
        cs.run(target)
    assert not calls.made


def test_variables_are_no_parameters() -> None:
    """A variable can't be given by `params=`."""
    with pytest.raises(UnknownParamError):
        cs.run(cs.Env("CASCADE_TEST_PORT", default=1), params={"CASCADE_TEST_PORT": 2})


def test_a_secret_gives_a_value_that_prints_as_stars() -> None:
    """A `Secret` is given like a `Param`; the task gets a `SecretValue` that reveals it only when asked."""
    value = cs.run(cs.Secret("token"), params={"token": "hunter2"})
    assert isinstance(value, SecretValue)
    assert (str(value), repr(value), f"{value}", value.reveal()) == ("***", "***", "***", "hunter2")
    assert cs.run(cs.Secret("token"), params={"token": SecretValue("x")}).reveal() == "x"


def test_a_secret_does_not_show_in_errors() -> None:
    """A secret's value is in no error text."""
    for params in ({"token": "hunter2"}, {"token": "hunter2", "other": 1}):
        with pytest.raises(cs.CascadeError) as caught:
            cs.run(cs.Secret("token", type=int), params=params)
        assert "hunter2" not in str(caught.value) + repr(caught.value)


def later_round(param: cs.LazyResult[Any]) -> cs.LazyResult[Any]:
    """A target whose second round takes the param."""

    @cs.task
    def first() -> Any:
        return give(param)

    return first()


def test_a_later_round_may_have_a_param_with_a_default() -> None:
    """A `Param` that only a later round declares has its default."""
    assert cs.run(later_round(cs.Param("late", default=7))) == 7


async def test_a_later_rounds_param_must_stand_in_the_spec(calls: Calls) -> None:
    """A value for a `Param` that only a later round declares is unknown, unless the workflow's spec declares it."""
    target = later_round(cs.Param("late", type=int))
    with pytest.raises(UnknownParamError, match="'late'"):
        await cs.arun(target, params={"late": 3})

    def workflow() -> cs.LazyResult[Any]:
        return later_round(cs.Param("late", type=int))

    assert await cs.arun(workflow, params={"late": 3}) == 3

    with WorkflowSpec().active() as spec:
        declared = later_round(cs.Param("late", type=int))
    async with Engine() as engine:
        value = await engine.run(declared, params={"late": 4}, spec=spec)
    assert value == 4


async def test_what_a_spec_requires_is_asked_for_before_the_first_call() -> None:
    """A required `Param` that the spec alone declares is an error before any call, however plain the tree is."""
    called: list[int] = []

    @cs.task
    def plain(number: int) -> int:
        called.append(number)
        return number

    with WorkflowSpec().active() as spec:
        cs.Param("late", type=int)
    async with Engine() as engine:
        for number in range(4):  # known trees, and trees that code was written for, too
            with pytest.raises(InputError, match="'late'"):
                await engine.run(plain(number), spec=spec)
            await engine.run(plain(-1))
    assert called == [-1] * 4


def test_a_later_rounds_missing_param_fails_before_its_first_node() -> None:
    """A required `Param` of a later round without a value is an error raised before any node of that round."""
    order: list[str] = []

    @cs.task
    def note(name: str) -> str:
        order.append(name)
        return name

    @cs.task
    def first() -> Any:
        order.append("first")
        return give(note("second"), cs.Param("late", type=int))

    with pytest.raises(InputError, match="'late'"):
        cs.run(first())
    assert order == ["first"]


def test_params_belong_to_one_run() -> None:
    """The same lazy result can be run with other values."""
    target = give(cs.Param("n", type=int))
    assert [cs.run(target, params={"n": number}) for number in range(3)] == [0, 1, 2]


def test_what_the_caller_changes_later_does_not_matter() -> None:
    """`params` is copied when the run begins."""
    params: dict[str, object] = {"n": 1}

    @cs.task
    def change() -> None:
        params["n"] = 2

    assert cs.run(cs.sequence([change(), give(cs.Param("n", type=int))]), params=params) == 1
