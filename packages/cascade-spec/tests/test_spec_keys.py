"""Claims about cache keys: equal for equal calls alone, and each part has a digest of its own."""

from __future__ import annotations

import datetime
import enum
import os
import pickle
import random
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.examples import examples

import cascade as cs
from cascade.spec import ByInputs, CachedCall, CacheKey, KeyPart, PartKind, SpecError, UncacheableError
from cascade.spec.cache_keys import make_key
from cascade.spec.encoding.canonical import digest, register_encoder


@cs.task
def f(a: object, b: object = 2, *rest: object, **named: object) -> None: ...


@cs.task
def g(a: object, b: object = 2, *rest: object, **named: object) -> None: ...


def key(task: cs.Task[Any], *args: object, **kwargs: object) -> CacheKey:
    found = ByInputs().key(CachedCall(task, args, kwargs))
    assert found is not None
    return found


def test_calls_are_keyed_by_parameter() -> None:
    """A call's key tells the parameters, defaults filled in: how an argument was passed does not matter."""
    assert key(f, 1) == key(f, a=1) == key(f, 1, 2) == key(f, b=2, a=1)
    assert key(f, 1, x=1, y=2) == key(f, 1, y=2, x=1)
    different = [key(f, 1), key(f, 2), key(f, 1, 2, 3), key(f, 1, 3), key(f, True), key(f, 1, x=1), key(g, 1)]
    assert len({each.digest for each in different}) == len(different)


def test_parts_tell_what_has_changed() -> None:
    """Code, version and each argument have digests of their own, that change with them alone."""
    one = ByInputs(version="1").key(CachedCall(f, (1, [2]), {"z": 3}))
    two = ByInputs(version="2").key(CachedCall(f, (1, [3]), {"z": 3}))
    assert one is not None
    assert two is not None
    assert one.task == two.task == f"{__name__}.f"
    told = [(part.kind, part.name) for part in one.parts]
    arguments = [(PartKind.ARGUMENT, name) for name in ("a", "b", "named", "rest")]
    assert told == [(PartKind.CODE, ""), (PartKind.VERSION, ""), *arguments]
    changed = [old.name or old.kind for old, new in zip(one.parts, two.parts, strict=True) if old != new]
    assert changed == ["version", "b"]


def test_a_parameter_may_have_the_name_of_a_part() -> None:
    """Arguments called `code` and `version` are no code and no version."""

    @cs.task
    def named(code: str, version: str) -> None: ...

    one, two = key(named, "1", "2"), key(named, "2", "1")
    assert one.digest != two.digest
    assert one.parts[:2] == two.parts[:2]


def test_keys_are_values() -> None:
    """A key can be a dict's key, be pickled, and not be changed."""
    one = key(f, 1)
    assert {one: 1}[key(f, a=1)] == 1
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises(AttributeError):
        one.digest = "other"


def test_a_private_task_has_keys_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that closes over what can't be seen has keys of its own, and others in another process."""

    def make(held: object) -> cs.Task[object]:
        return cs.task(lambda x: held)

    one, two = make([]), make([])
    assert key(one, 1) == key(one, 1)
    assert key(one, 1) != key(two, 1)
    assert key(make(5), 1) == key(make(5), 1)
    here = key(one, 1)
    assert here.parts[-1].kind is PartKind.PROCESS
    monkeypatch.setattr(os, "getpid", lambda: -1)
    there = key(one, 1)
    assert there.digest != here.digest
    assert there.parts[:-1] == here.parts[:-1]


def test_what_can_not_be_encoded_is_named() -> None:
    """The error names the argument and the type; the key is never made without it."""
    with pytest.raises(
        UncacheableError, match=r"argument 'named': a builtins\.object has no canonical form"
    ) as caught:
        key(f, 1, x=[object()])
    assert (caught.value.argument, caught.value.kind) == ("named", "builtins.object")


def test_a_policy_of_ones_own_may_make_keys() -> None:
    """`make_key` makes a key of a task and named values, in whatever order."""
    assert make_key(f, {"a": 1, "b": 2}) == make_key(f, {"b": 2, "a": 1}) != make_key(g, {"a": 1, "b": 2})
    assert make_key(f, {"a": 1}) == CacheKey(
        make_key(f, {"a": 1}).digest,
        f"{__name__}.f",
        (*key(f, 1).parts[:2], KeyPart(PartKind.ARGUMENT, "a", digest(1).hex())),
    )


class Level(enum.IntEnum):
    LOW = 1


class Word(str):
    __slots__ = ()


class Pair(NamedTuple):
    a: int
    b: int


class LoosePair(Pair):
    """Has a `__dict__`, and so may hold more than its fields."""


@dataclass
class Point:
    x: int
    y: int = 0
    hidden: int = field(default=0, compare=False)

    @cached_property
    def total(self) -> int:
        return self.x + self.y


class Point3(Point):
    """Not a dataclass itself: what it adds is no field."""


@dataclass
class Numbers(list):  # type: ignore[type-arg]
    name: str = ""


class Zone(datetime.tzinfo):
    def utcoffset(self, _: object) -> datetime.timedelta:
        return datetime.timedelta(hours=1)

    def dst(self, _: object) -> None:
        return None

    def tzname(self, _: object) -> str:
        return "UTC"

    def __repr__(self) -> str:
        return "datetime.timezone.utc"


def local() -> object:
    @dataclass
    class Inside:
        x: int

    return Inside(1)


def with_extra() -> Point:
    point = Point(1)
    vars(point)["extra"] = 5
    return point


def loose() -> LoosePair:
    pair = LoosePair(1, 2)
    vars(pair)["extra"] = 5
    return pair


@pytest.mark.parametrize(
    "make",
    [
        lambda: Word("a"),
        local,
        with_extra,
        lambda: Point3(1),
        lambda: Numbers("a"),
        loose,
        lambda: datetime.datetime(2026, 1, 1, tzinfo=Zone()),
        lambda: iter([1]),
        lambda: memoryview(b"a"),
        lambda: {"k": {object(): 1}},
        lambda: np.ma.masked_array([1]),
        lambda: np.array([object()]),
        lambda: np.zeros(1, dtype=[("a", object)]),
        lambda: pd.DataFrame({"a": [object()]}),
    ],
)
def test_what_could_hold_more_than_can_be_seen_has_no_key(make: Callable[[], object]) -> None:
    """Subclasses, classes inside functions, objects with attributes beside their fields: none is taken for less."""
    with pytest.raises(UncacheableError):
        digest(make())


def test_what_is_computed_from_fields_is_no_part() -> None:
    """A cached property of a dataclass changes nothing; a field that takes no part in comparison does."""
    point = Point(1)
    assert point.total == 1
    assert digest(point) == digest(Point(1)) != digest(Point(1, hidden=1))


class Step(enum.Enum):
    ONE = 1
    TWO = 2


def test_the_value_of_a_member_counts() -> None:
    """A member of an enum is told by its class, name and value."""
    assert len({digest(each) for each in (Step.ONE, Step.TWO, Level.LOW, 1, "ONE")}) == 5


def test_complex_numbers_with_nan_are_told_apart() -> None:
    """No part of a complex number runs into the other."""
    tricky = np.frombuffer(b"nan abcd", dtype=">f8")[0].item()
    other = np.frombuffer(b"abcd nan", dtype=">f8")[0].item()
    nan = float("nan")
    numbers = [complex(nan, other), complex(tricky, nan), complex(0.0, -0.0), complex(-0.0, 0.0), 0j]
    assert len({digest(number) for number in numbers}) == len(numbers)
    assert digest(nan) == digest(-nan)


def test_zones_count() -> None:
    """Times are told apart by their zone, also where they are the same moment."""
    oslo, rome = (zoneinfo.ZoneInfo(name) for name in ("Europe/Oslo", "Europe/Rome"))
    zones = [None, oslo, rome, datetime.UTC, datetime.timezone(datetime.timedelta(hours=1))]
    times = [
        datetime.datetime(2026, 10, 25, 2, 30, fold=fold, tzinfo=zone) for zone in zones for fold in (0, 1)
    ]
    assert len({digest(time) for time in times}) == len(times)
    with pytest.raises(UncacheableError, match=r"zone of zoneinfo\.ZoneInfo"):
        digest(times[2].replace(tzinfo=_nameless()))


def _nameless() -> zoneinfo.ZoneInfo:
    with (files("tzdata.zoneinfo.Europe") / "Oslo").open("rb") as file:  # pandas brings it
        return zoneinfo.ZoneInfo.from_file(file)


class Money:
    def __init__(self, cents: int) -> None:
        self.cents = cents


class Coin(Money):
    pass


def test_types_can_be_registered() -> None:
    """A registered type is told by what its encoder gives; its subclasses are other types."""
    register_encoder(Money, lambda money: money.cents)
    assert digest(Money(5)) == digest(Money(5)) != digest(Money(6))
    assert digest([Money(5)]) != digest([5])
    with pytest.raises(UncacheableError, match="Coin"):
        digest(Coin(5))
    register_encoder(Money, lambda money: money.euros)  # type: ignore[attr-defined]
    with pytest.raises(UncacheableError, match="Money, whose encoder raised AttributeError"):
        digest(Money(5))
    register_encoder(Money, lambda money: [money])
    money = Money(5)
    with pytest.raises(UncacheableError, match="contains itself"):
        digest(money)


@pytest.mark.parametrize("kind", [int, list, str, "Money", None])
def test_what_can_not_be_registered_is_refused(kind: Any) -> None:
    """Types that have a form of their own, and what is no type, are refused."""
    with pytest.raises(SpecError, match="register_encoder"):
        register_encoder(kind, bytes)


def arrays() -> list[Any]:
    base = np.arange(6)
    return [
        base,
        base.astype("i4"),
        base.astype(">i8"),
        base.astype("f8"),
        base.reshape(2, 3),
        base.reshape(3, 2),
        base.reshape(2, 3).T,
        base[::-1],
        np.array([0.0]),
        np.array([-0.0]),
        np.array(0.0),
        np.float64(0.0),
        np.float32(0.0),
        np.int64(0),
        np.bool_(False),
        0.0,
        np.array([], dtype="f8"),
        np.array([], dtype="f4"),
        np.zeros((0, 2)),
        np.array(["a", "b"]),
        np.array([b"a", b"b"]),
        np.array(["a", 1, None], dtype=object),
        np.array(["a", "1", None], dtype=object),
        np.array(["2026-01-01"], dtype="M8[D]"),
        np.array(["2026-01-01"], dtype="M8[s]"),
        np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
        np.zeros(2, dtype=[("a", "i4"), ("c", "f8")]),
        np.array([True, False]),
        np.array([1 + 2j]),
    ]


def test_arrays_are_told_by_type_shape_and_content() -> None:
    """NumPy arrays and numbers differ in type, byte order, shape and content, and in nothing else."""
    made = arrays()
    assert len({digest(each) for each in made}) == len(made)
    assert [digest(each) for each in made] == [digest(each) for each in arrays()]
    square = np.arange(9).reshape(3, 3)
    assert digest(square) == digest(np.asfortranarray(square)) == digest(np.vstack([square, square])[:3])


def frames() -> list[Any]:
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    unnamed: Any = ["k", None]
    times = pd.date_range("2026-01-01", periods=2, tz="Europe/Oslo")
    return [
        frame,
        frame[["b", "a"]],
        frame.rename(columns={"a": "c"}),
        frame.astype({"a": "float64"}),
        frame.astype({"a": "Int64"}),
        frame.astype({"b": "category"}),
        frame.astype({"b": pd.CategoricalDtype(["y", "x"])}),
        frame.astype({"b": pd.CategoricalDtype(["x", "y"], ordered=True)}),
        frame.astype({"b": object}),
        frame.set_index("b"),
        frame.set_index(["a", "b"]),
        frame.set_index(pd.Index([1, 2])),
        frame.assign(b=["x", unnamed[1]]),
        frame.assign(b=pd.Series(["x", float("nan")], dtype=object)),
        frame.assign(b=pd.Series(["x", None], dtype=object)),
        frame.assign(a=pd.array([1, pd.NA], dtype="Int64")),
        frame.assign(a=times),
        frame.assign(a=times.tz_convert("Europe/Rome")),
        frame.assign(a=times.tz_localize(None)),
        frame.assign(a=pd.period_range("2026-01", periods=2, freq="M")),
        frame.assign(a=pd.to_timedelta([1, 2], unit="s")),
        frame.iloc[:1],
        frame.iloc[:0],
        frame["a"],
        frame["a"].rename("c"),
        frame["a"].rename(unnamed[1]),
        frame["a"].to_frame(),
        frame["a"].array.to_numpy(),
        frame.index,
        frame.columns,
        times,
        times[0],
        times[0].tz_convert("Europe/Rome"),
        times[0].tz_localize(None),
        times[0].to_pydatetime(),
        pd.Timedelta(1, "s"),
        pd.NaT,
        pd.NA,
        pd.MultiIndex.from_tuples([(1, "x"), (2, "y")]),
        pd.MultiIndex.from_tuples([(1, "x"), (2, "y")], names=unnamed),
    ]


def test_frames_are_told_by_columns_index_and_content() -> None:
    """Frames, series and indexes of pandas differ in names, types, order, index and content."""
    made = frames()
    digests = [digest(each) for each in made]
    same = [(i, j) for i, one in enumerate(digests) for j in range(i) if one == digests[j]]
    assert same == []
    assert digests == [digest(each) for each in frames()]
    attributed = made[0].copy()
    attributed.attrs["unit"] = "m"
    assert digest(attributed) != digests[0]


LEAVES: list[Callable[[random.Random], object]] = [
    lambda source: source.randrange(-3, 3),
    lambda source: source.choice([0.0, -0.0, 1.0, 0.5, float("inf")]),
    lambda source: source.choice(["", "a", "b", "ab", "1", "None", "\x00"]),
    lambda source: source.choice([b"", b"a", b"1"]),
    lambda source: source.choice([None, True, False]),
    lambda source: datetime.date(2026, 1, source.randrange(1, 4)),
    lambda source: source.choice([Step.ONE, Step.TWO, Level.LOW]),
]


def random_value(source: random.Random, depth: int = 3) -> object:
    kind = source.randrange(12) if depth else 0
    if kind < 6:
        return source.choice(LEAVES)(source)
    parts = [random_value(source, depth - 1) for _ in range(source.randrange(3))]
    if kind == 6:
        return set(filter(_hashable, parts))
    if kind == 7:
        return dict(zip("abc", parts, strict=False))
    if kind == 8:
        return Pair(source.randrange(2), source.randrange(2))
    if kind == 9:
        return Point(source.randrange(2), source.randrange(2))
    return parts if kind == 10 else tuple(parts)


def _hashable(value: object) -> bool:
    return isinstance(value, (int, float, str, bytes, type(None), enum.Enum))


def form(value: Any) -> object:
    """Return what tells a value, written down in the plainest way, for comparison."""
    kind = type(value)
    if kind in (list, tuple, Pair):
        return kind.__name__, [form(part) for part in value]
    if kind is set:
        return "set", sorted(map(repr, map(form, value)))
    if kind is dict:
        return "dict", [(form(name), form(part)) for name, part in value.items()]
    return kind.__name__, repr(value)


def test_100_000_pairs_of_unequal_arguments_have_no_equal_keys() -> None:
    """Of 100,000 random pairs of arguments, those that are not the same data have different digests."""
    source = random.Random(20261121)
    unequal = 0
    while unequal < 100_000:
        one, two = random_value(source), random_value(source)
        same = repr(form(one)) == repr(form(two))
        assert (digest(one) == digest(two)) is same, (one, two)
        unequal += not same


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner)
    ),
    max_leaves=8,
)


@settings(max_examples=examples(300))
@given(nested, nested)
def test_keys_are_equal_for_the_same_data_alone(one: object, two: object) -> None:
    """Two arguments have one key exactly if they are the same data."""
    assert (key(f, one).digest == key(f, two).digest) is (repr(form(one)) == repr(form(two)))
