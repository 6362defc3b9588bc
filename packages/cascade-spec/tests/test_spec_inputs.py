"""Claims about inputs: contracts, the spec that collects them, and reading their values."""

from __future__ import annotations

import enum
from datetime import date, datetime, time
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, Literal, NewType
from uuid import UUID

import pytest

import cascade as cs
from cascade.spec import (
    MISSING,
    ContractConflictError,
    EnvContract,
    InputError,
    ParamContract,
    SecretValue,
    SpecError,
    WorkflowSpec,
)
from cascade.spec.inputs.conversion import check_type, convert_text, type_name
from cascade.spec.inputs.workflow import collect


class Colour(enum.Enum):
    RED = 1
    BLUE = "blue"


class Awkward:
    """A default that can't be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("compared")

    __hash__ = None  # type: ignore[assignment]


def test_an_input_is_a_lazy_result_like_any_other() -> None:
    """`Param`, `Env` and `Secret` give lazy results, and each call gives one of its own."""
    for declared in (cs.Param("p"), cs.Env("P"), cs.Secret("s")):
        assert isinstance(declared, cs.LazyResult)
    assert cs.Param("p") is not cs.Param("p")
    assert cs.Param("p").contract == cs.Param("p").contract


def test_no_default_means_required() -> None:
    """Without a default an input is required; `None` and other falsy values are defaults like any other."""
    assert cs.Param("p").contract.required
    assert cs.Env("P").contract.required
    falsy: list[Any] = [None, 0, "", False, []]
    for default in falsy:
        assert not cs.Param("p", default=default).contract.required
        assert cs.Param("p", default=default).contract.read({}) == default
    assert cs.Param("p", default=None, type=int).contract.read({}) is None
    assert cs.Param("p").contract.default is MISSING


def test_the_type_follows_the_default() -> None:
    """The type of an input is the one given, else that of its default, else `str`."""
    assert cs.Param("p", default=3).contract.type is int
    assert cs.Param("p", default=3, type=float).contract.type is float
    assert cs.Param("p").contract.type is str
    assert cs.Param("p", default=None).contract.type is str


def test_a_default_fits_its_type() -> None:
    """A default of another type is refused where it is declared, with the contract."""
    with pytest.raises(
        InputError, match=r"Param\('p', type=int, default='x'\): its default does not fit its type int"
    ):
        cs.Param("p", default="x", type=int)


def test_a_default_is_not_compared() -> None:
    """A default may be of a class whose comparison fails."""
    assert isinstance(cs.Param("p", default=Awkward()).contract.default, Awkward)


@pytest.mark.parametrize("name", ["", "a-b", "1a", "a b", None, 3])
def test_the_name_of_a_parameter_is_an_identifier(name: Any) -> None:
    """A parameter whose name is no identifier is refused."""
    with pytest.raises(SpecError, match="give a Python identifier"):
        cs.Param(name)
    with pytest.raises(SpecError, match="give a Python identifier"):
        cs.Secret(name)


@pytest.mark.parametrize("name", ["", "A=B", None])
def test_the_name_of_a_variable_can_be_one(name: Any) -> None:
    """An environment variable without a name, or with `=` in it, is refused."""
    with pytest.raises(SpecError, match="give the name of an environment variable"):
        cs.Env(name)


def test_values_given_in_code_are_checked_and_not_converted() -> None:
    """A parameter's value of another type is refused, also where its text could be converted."""
    contract = cs.Param("port", type=int).contract
    assert contract.read({"port": 8080}) == 8080
    with pytest.raises(InputError, match=r"Param\('port', type=int\): got '8080', a str; give int"):
        contract.read({"port": "8080"})
    with pytest.raises(InputError, match="got True, a bool"):
        contract.read({"port": True})


def test_a_missing_value_says_how_to_give_it() -> None:
    """A required parameter without a value is refused with its contract and the way to pass it."""
    with pytest.raises(
        InputError, match=r"Param\('p', type=str\): no value given; pass params={'p': \.\.\.}"
    ):
        cs.Param("p").contract.read({})


def test_a_variable_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set environment variable is converted by its type, and the run's parameters play no part."""
    contract = cs.Env("CASCADE_TEST_PORT", default=1, type=int).contract
    monkeypatch.delenv("CASCADE_TEST_PORT", raising=False)
    assert contract.read({"CASCADE_TEST_PORT": 5}) == 1
    monkeypatch.setenv("CASCADE_TEST_PORT", "8080")
    assert contract.read({}) == 8080
    monkeypatch.setenv("CASCADE_TEST_PORT", "many")
    with pytest.raises(InputError, match="'many' can't be read as int"):
        contract.read({})


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A required variable that is not set is refused by its name; one set to nothing is set."""
    monkeypatch.delenv("CASCADE_TEST_NAME", raising=False)
    with pytest.raises(InputError, match="the environment variable CASCADE_TEST_NAME is not set"):
        cs.Env("CASCADE_TEST_NAME").contract.read({})
    monkeypatch.setenv("CASCADE_TEST_NAME", "")
    assert cs.Env("CASCADE_TEST_NAME").contract.read({}) == ""


def test_a_spec_collects_what_is_declared() -> None:
    """A spec that is active while a workflow function is called has its contracts, in order and each once."""

    def workflow() -> object:
        return [cs.Param("b"), cs.Env("A"), cs.Secret("c"), cs.Param("b")]

    made, spec = collect(workflow)
    assert isinstance(made, list)
    assert [contract.name for contract in spec.contracts] == ["b", "A", "c"]
    assert [type(contract) for contract in spec.contracts] == [ParamContract, EnvContract, ParamContract]


def test_a_spec_collects_only_while_it_is_active() -> None:
    """A declaration outside the block is not collected, and an inner spec takes what is declared inside it."""
    outer, inner = WorkflowSpec(), WorkflowSpec()
    cs.Param("before")
    with outer.active():
        cs.Param("a")
        with inner.active():
            cs.Param("b")
        cs.Param("c")
    cs.Param("after")
    assert [contract.name for contract in outer.contracts] == ["a", "c"]
    assert [contract.name for contract in inner.contracts] == ["b"]


def test_a_spec_is_left_after_an_error() -> None:
    """A workflow function that raises leaves no spec active."""
    spec = WorkflowSpec()

    def workflow() -> None:
        with spec.active():
            cs.Param("a")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        workflow()
    cs.Param("b")
    assert len(spec.contracts) == 1


@pytest.mark.parametrize(
    ("declare", "told"),
    [
        (lambda: cs.Param("p", type=int), "Param('p', type=int)"),
        (lambda: cs.Param("p", default="x"), "Param('p', type=str, default='x')"),
        (lambda: cs.Secret("p"), "Secret('p', type=str)"),
        (lambda: cs.Param("p", description="other"), "Param('p', type=str, description='other')"),
    ],
)
def test_two_declarations_of_one_name_must_agree(declare: Any, told: str) -> None:
    """Two contracts of one name that differ are refused, and the error tells them apart."""
    with WorkflowSpec().active():
        cs.Param("p")
        with pytest.raises(ContractConflictError) as caught:
            declare()
    assert caught.value.first == "Param('p', type=str)"
    assert caught.value.second == told


def test_a_parameter_and_a_variable_may_share_a_name() -> None:
    """`Param` and `Env` of one name are two inputs."""
    with WorkflowSpec().active() as spec:
        cs.Param("HOME")
        cs.Env("HOME")
    assert len(spec.contracts) == 2


def test_a_secret_never_shows() -> None:
    """A secret value prints as `***` in every format, and `reveal()` gives it."""
    secret = cs.Secret("token").contract.read({"token": "hunter2"})
    assert isinstance(secret, SecretValue)
    for text in (str(secret), repr(secret), f"{secret}", f"{secret:>10}", "%s" % secret, repr([secret])):  # noqa: UP031
        assert text in ("***", "[***]")
    assert secret.reveal() == "hunter2"


def test_a_secrets_default_and_wrong_values_never_show() -> None:
    """Neither contract nor error shows a secret's default or a value of the wrong type."""
    declared = cs.Secret("token", default="hunter2")
    for text in (str(declared.contract), repr(declared.contract), repr(declared), repr(declared.args)):
        assert "hunter2" not in text
    with pytest.raises(InputError, match="got str; give int") as caught:
        cs.Secret("pin", type=int).contract.read({"pin": "hunter2"})
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InputError, match=r"\*\*\* can't be read as int") as caught:
        cs.Secret("pin", type=int).contract.parse("hunter2")
    assert "hunter2" not in str(caught.value)
    assert "***" in str(cs.Secret("token", default="hunter2").contract)


def test_a_secret_variable_never_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The value and the default of a secret variable print as `***`, also where the text is none of the type."""
    lazy = cs.Env("TOKEN", SecretValue("hunter2"), secret=True)
    contract = lazy.contract
    assert contract.read({}) == SecretValue("hunter2") == "hunter2"
    monkeypatch.setenv("TOKEN", "hunter3")
    value = contract.read({})
    assert type(value) is SecretValue
    assert value.reveal() == "hunter3"
    for shown in (str(value), repr(value), f"{value}", str(contract), repr(contract), repr(lazy)):
        assert "hunter" not in shown
    assert "***" in str(contract)
    number = cs.Env("TOKEN", type=int, secret=True)
    with pytest.raises(InputError) as caught:
        number.contract.read({})
    assert "hunter" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_a_secret_value_may_be_given() -> None:
    """A `SecretValue` is a value, or a default, of a `Secret` of its value's type."""
    contract = cs.Secret("pin", default=SecretValue(1), type=int).contract
    assert contract.read({}).reveal() == 1
    assert contract.read({"pin": SecretValue(2)}).reveal() == 2
    with pytest.raises(InputError, match="got str; give int"):
        contract.read({"pin": SecretValue("x")})


def test_a_secret_value_equals_its_value() -> None:
    """A secret value equals its value and another secret of it, hashes like it, and takes any text."""
    assert SecretValue("a") == "a"
    assert SecretValue("a") == SecretValue("a")
    assert SecretValue("a") != SecretValue("b")
    assert SecretValue(3) == 3
    assert SecretValue("\udc80") == "\udc80"
    assert hash(SecretValue("a")) == hash("a")


CONVERTED: list[tuple[str, Any, object]] = [
    ("x", str, "x"),
    ("-3", int, -3),
    ("1e3", float, 1000.0),
    ("yes", bool, True),
    ("Off", bool, False),
    ("0", bool, False),
    ("/tmp/x", Path, Path("/tmp/x")),
    ("2026-01-31", date, date(2026, 1, 31)),
    ("2026-01-31T10:00", datetime, datetime(2026, 1, 31, 10)),  # noqa: DTZ001 - what the text says
    ("10:30", time, time(10, 30)),
    ("RED", Colour, Colour.RED),
    ("1", Colour, Colour.RED),
    ("blue", Colour, Colour.BLUE),
    ("1, 2,3", list[int], [1, 2, 3]),
    ("", list[int], []),
    ("a,b", list, ["a", "b"]),
    ("1, 2,3", tuple[int, ...], (1, 2, 3)),
    ("", tuple[int, ...], ()),
    ("a, 1", tuple[str, int], ("a", 1)),
    ("a,b", tuple, ("a", "b")),
    ("2,1,2", set[int], {1, 2}),
    ("ab", set[str], {"ab"}),
    ("ab", set, {"ab"}),
    ("2,1,2", frozenset[int], frozenset({1, 2})),
    ("2026-01-31,2026-02-01", list[date], [date(2026, 1, 31), date(2026, 2, 1)]),
    ("1,2", list[int] | None, [1, 2]),
    ('{"a": [1]}', dict[str, list[int]], {"a": [1]}),
    ("3", int | None, 3),
    ("x", int | str, "x"),
    ("fast", Literal["fast", "slow"], "fast"),
    ("2", Literal[1, 2], 2),
    ("1.50", Decimal, Decimal("1.50")),
    ("12345678123456781234567812345678", UUID, UUID("12345678123456781234567812345678")),
    ("x", Any, "x"),
]


@pytest.mark.parametrize(("text", "kind", "value"), CONVERTED)
def test_text_is_converted_by_the_declared_type(text: str, kind: Any, value: object) -> None:
    """Text becomes a value of the declared type, and the value is one of that type."""
    converted = convert_text(text, kind)
    assert converted == value
    assert type(converted) is type(value)
    assert check_type(converted, kind)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("x", int),
        ("", int),
        ("1.5", int),
        ("maybe", bool),
        ("2026-13-01", date),
        ("GREEN", Colour),
        ("1,x", list[int]),
        ("1,x", set[int]),
        ("1,x", tuple[int, ...]),
        ("a", tuple[str, int]),
        ("a,1,2", tuple[str, int]),
        ("", tuple[str, int]),
        ("2026-01-31T10:00", date),
        ("[1]", dict),
        ("{", dict),
        ("x", int | None),
        ("medium", Literal["fast", "slow"]),
        ("x", Decimal),
        ("1/0", Fraction),
        ("x", bytes),
    ],
)
def test_text_that_does_not_fit_is_an_input_error(text: str, kind: Any) -> None:
    """Text that is no value of the declared type is an `InputError` with contract, text and type."""
    with pytest.raises(InputError) as caught:
        cs.Param("p", type=kind).contract.parse(text)
    assert "Param('p'" in str(caught.value)
    assert f"{text!r} can't be read as {type_name(kind)}" in str(caught.value)


@pytest.mark.parametrize(
    ("value", "kind", "fits"),
    [
        (1, float, True),
        (1.0, int, False),
        (True, int, False),
        (True, float, False),
        (True, bool, True),
        (None, int | None, True),
        ([1, 2], list[int], True),
        ([1, "2"], list[int], False),
        ((1,), list[int], False),
        ((1, 2), tuple[int, ...], True),
        ((1, "2"), tuple[int, ...], False),
        (("a", 1), tuple[str, int], True),
        (("a", 1, 2), tuple[str, int], False),
        (("a",), tuple[str, int], False),
        ({1, 2}, set[int], True),
        ({1, "2"}, set[int], False),
        (frozenset({1}), set[int], False),
        ([1, "2"], list, True),
        (date(2026, 1, 31), date, True),
        (datetime(2026, 1, 31), date, False),  # noqa: DTZ001 - a plain one
        ({"a": 1}, dict[str, int], True),
        ("fast", Literal["fast"], True),
        (1, Literal[True], False),
        (object(), Any, True),
        (None, None, True),
    ],
)
def test_values_are_checked_by_type(value: object, kind: Any, fits: bool) -> None:
    """An `int` is a `float`, a `bool` is no number, and lists, unions and literals are looked into."""
    assert check_type(value, kind) is fits


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (int, "int"),
        (Path, "path"),
        (type(Path()), "path"),
        (list[type(Path())], "list[path]"),  # type: ignore[misc]  # mypy reads a call as no type
        (tuple[int, ...], "tuple[int, ...]"),
        (int | None, "int | None"),
        (Literal["a", "b"], "Literal['a', 'b']"),
        (Any, "Any"),
    ],
)
def test_types_are_named_for_people(kind: Any, told: str) -> None:
    """The name of a type says what to give: a `PosixPath` is a path."""
    assert type_name(kind) == told


@pytest.mark.parametrize("kind", ["int", 3, [int], int | list["x"], NewType("Metres", int)])  # type: ignore[name-defined]  # noqa: F821
def test_what_is_no_type_is_refused_by_the_name_of_the_parameter(kind: Any) -> None:
    """A type that no value can be checked against is refused where it is written."""
    for declare, told in ((cs.Param, "Param"), (cs.Env, "Env")):
        with pytest.raises(SpecError, match=rf"{told}\('size'\) has the type .*; give a class"):
            declare("size", type=kind)
    assert cs.Param("size", 1, type=Annotated[int, "in metres"]).contract.type is int


@pytest.mark.parametrize(
    ("default", "text", "value"),
    [
        ([1, 2], "3,4", [3, 4]),
        ((1.5,), "3", (3.0,)),
        ({1}, "3,3", {3}),
        (["a"], "3", ["3"]),
        ([], "3", ["3"]),
        ([1, "a"], "3", ["3"]),
        (date(2026, 1, 31), "2026-02-01", date(2026, 2, 1)),
    ],
)
def test_a_default_tells_the_type_of_the_items(default: Any, text: str, value: object) -> None:
    """Text for a parameter without a type is read as what its default holds."""
    contract = cs.Param("p", default).contract
    assert contract.parse(text) == value
    assert type(contract.parse(text)) is type(default)
    assert contract.read({}) == default
