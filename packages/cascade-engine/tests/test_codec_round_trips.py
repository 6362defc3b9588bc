"""Claims about what `DataCodec` keeps: types, values, order and sharing."""

from __future__ import annotations

import datetime
import math
import struct
import uuid
import zoneinfo
from collections import namedtuple
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass, field
from decimal import Decimal
from enum import Enum, Flag, IntEnum, IntFlag, StrEnum
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Generic, NamedTuple, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cascade.adapters.codec import DataCodec, DataType
from cascade.spec import CodecError, SpecError

T = TypeVar("T")
CODEC = DataCodec()


class Colour(Enum):
    RED = 1
    GREEN = (2, "two")
    CRIMSON = 1  # noqa: PIE796 - an alias


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


class Word(StrEnum):
    A = "a"


class Right(Flag):
    READ = 1
    WRITE = 2
    RUN = 4


class Bits(IntFlag):
    LOW = 1
    HIGH = 8


@dataclass(frozen=True)
class Point:
    x: object
    y: object = 0


@dataclass(slots=True)
class Slotted:
    x: object
    _: KW_ONLY
    y: object = None


@dataclass
class Derived(Slotted):
    z: object = 3


@dataclass
class Computed:
    x: object
    twice: object = field(init=False)

    def __post_init__(self) -> None:
        self.twice = [self.x, self.x]

    @cached_property
    def shown(self) -> str:
        return repr(self.x)


@dataclass
class Partly:
    x: object = field(init=False, repr=False)


@dataclass(frozen=True)
class Box(Generic[T]):
    content: T


class Pair(NamedTuple):
    left: object
    right: object = None


class Named(namedtuple("Named", "a b")):
    __slots__ = ()

    def __new__(cls, a: object) -> Any:
        return super().__new__(cls, a, a)


class Money:
    """A plain class, unknown to the codec until it is registered."""

    def __init__(self, cents: int) -> None:
        self.cents = cents

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self) -> int:
        return hash(self.cents)


MONEY = DataType(Money, "money", encode=lambda value: value.cents, decode=Money)


def again(value: object, codec: DataCodec = CODEC) -> Any:
    return codec.decode(codec.encode(value, key=b"key"), key=b"key")


def same(one: Any, other: Any) -> bool:
    """Compare values and types exactly: `1` is no `True`, NaN is NaN, the order of a dict counts."""
    if type(one) is not type(other):
        return False
    match one:
        case float():
            return struct.pack("d", one) == struct.pack("d", other)
        case complex():
            return same(one.real, other.real) and same(one.imag, other.imag)
        case Decimal():
            return bool(one.as_tuple() == other.as_tuple())
        case datetime.datetime() | datetime.time():
            return (repr(one), one.fold) == (repr(other), other.fold)
        case Enum():
            return one is other
        case list() | tuple():
            return len(one) == len(other) and all(map(same, one, other))
        case dict():
            return same([*one.items()], [*other.items()])
        case set() | frozenset():
            return len(one) == len(other) and all(any(same(a, b) for b in other) for a in one)
        case Point() | Slotted() | Computed() | Box():
            return all(same(getattr(one, name), getattr(other, name)) for name in one.__dataclass_fields__)
    return bool(one == other)


def is_found_again(value: object) -> bool:
    """Tell whether a value is equal to itself: as a dict key, a NaN is not."""
    return bool(value == value)


ZONES = [
    None,
    datetime.UTC,
    datetime.timezone(datetime.timedelta(hours=-3, seconds=7)),
    datetime.timezone(datetime.timedelta(0), "zero"),
    zoneinfo.ZoneInfo("Europe/Berlin"),
]
texts = st.text(st.characters(), max_size=5)  # lone surrogates among them
# Deferred, so that the strategies made of it have a readable name.
scalars = st.deferred(
    lambda: st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-(2**200), 2**200),
        st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1]),
        st.floats(),
        st.complex_numbers(),
        texts,
        st.binary(max_size=5),
        st.dates(),
        st.times(timezones=st.sampled_from(ZONES)),
        st.builds(
            lambda moment, zone, fold: moment.replace(tzinfo=zone, fold=fold),
            st.datetimes(),
            st.sampled_from(ZONES),
            st.integers(0, 1),
        ),
        st.timedeltas(),
        st.decimals(allow_nan=False) | st.just(Decimal("NaN")),
        st.fractions(),
        st.uuids(),
        st.sampled_from(ZONES),
        st.builds(range, st.integers(), st.integers(), st.integers(1, 2**70)),
        st.sampled_from([Path("a/b"), Path(), PurePosixPath("/x"), PureWindowsPath("c:/x"), Path("\udcff")]),
        st.sampled_from(
            [*Colour, *Size, *Word, *Right, *Bits, Right.READ | Right.RUN, Right(0), Bits(9), Bits(4)]
        ),
    )
)
keys = st.recursive(
    scalars.filter(is_found_again),
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.frozensets(inner, max_size=2),
        st.builds(Point, inner, inner),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=4,
)
values = st.recursive(
    scalars | st.binary(max_size=5).map(bytearray),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=3),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
        st.builds(Point, inner, inner),
        st.builds(Slotted, inner, y=inner),
        st.builds(Derived, inner, z=inner),
        st.builds(Computed, inner),
        st.builds(Box, inner),
        st.builds(Pair, inner, inner),
        st.builds(Named, inner),
    ),
    max_leaves=12,
)


@given(values)
def test_a_value_comes_back_exactly(value: object) -> None:
    """Any value of the known types comes back equal and of the same types, all the way down."""
    assert same(again(value), value)


@given(values)
def test_the_same_value_gives_the_same_bytes_under_the_same_key_only(value: object) -> None:
    """Bytes depend on the value and the store key, and differ between keys."""
    assert CODEC.encode(value, key=b"a") == CODEC.encode(value, key=b"a") != CODEC.encode(value, key=b"b")


@pytest.mark.parametrize("value", [math.nan, -0.0, math.inf, struct.unpack("d", b"\1\0\0\0\0\0\xf8\x7f")[0]])
def test_floats_keep_their_bits(value: float) -> None:
    """A float comes back bit by bit: NaNs with what they carry, and the sign of zero."""
    assert struct.pack("d", again(value)) == struct.pack("d", value)
    assert struct.pack("d", again((value,))[0]) == struct.pack("d", value)


@pytest.mark.parametrize(
    "value", [Decimal("sNaN12"), Decimal("-0.00"), Decimal("1E+99999"), Decimal("-Infinity")]
)
def test_decimals_keep_sign_digits_and_exponent(value: Decimal) -> None:
    """A decimal comes back digit by digit, signalling NaNs too."""
    assert again(value).as_tuple() == value.as_tuple()


def test_an_order_is_kept() -> None:
    """A dict comes back in its order, with keys of many types that are told apart."""
    value = {"b": 1, 2: "two", None: 3, (1, True): 4, b"b": 5, 1.5: 6}
    assert [*again(value).items()] == [*value.items()]
    assert [type(part) for part in [*again(value)][3]] == [int, bool]


def test_sharing_is_kept() -> None:
    """A container that stands in two places does so again; and what is shared is stored once."""
    inner: list[object] = [1]
    value = [inner, (inner,), {"k": inner}]
    read = again(value)
    assert read == value
    assert read[0] is read[1][0] is read[2]["k"]
    doubled: list[object] = []
    for _ in range(60):
        doubled = [doubled, doubled]
    assert len(CODEC.encode(doubled, key=b"")) < 1000


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: (v,), lambda v: {"k": v}, Point, Slotted, Pair])
def test_depth_costs_no_recursion(wrap: Any) -> None:
    """A value of 100,000 levels is written and read."""
    value: Any = []
    for _ in range(100_000):
        value = wrap(value)
    read, depth = again(value), 0
    while read:
        read = read["k"] if type(read) is dict else read.x if hasattr(read, "x") else read[0]
        depth += 1
    assert depth == 100_000
    while value:  # so that freeing it needs no recursion
        value = value["k"] if type(value) is dict else value.x if hasattr(value, "x") else value[0]


def test_fields_that_are_not_set_stay_so() -> None:
    """A dataclass whose field has no value comes back without one; values derived from others are left out."""
    assert not hasattr(again(Partly()), "x")
    value = Computed(4)
    assert value.shown == "4"
    assert "shown" not in vars(again(value))
    assert again(Box[int](3)) == Box(3)


def test_a_uuid_and_a_path_keep_all() -> None:
    """A UUID keeps how safely it was made, a path bytes that are no text."""
    made = uuid.UUID(int=5, is_safe=uuid.SafeUUID.safe)
    assert again(made).is_safe is uuid.SafeUUID.safe
    assert str(again(Path("\udcff\udc80"))) == "\udcff\udc80"


def test_registered_types_come_back() -> None:
    """A registered type is stored as the data that its `encode` gives, at any place, also as a key."""
    codec = DataCodec(types=[MONEY])
    value = {"price": Money(5), Money(7): [Money(1), {Money(2)}]}
    assert again(value, codec) == value
    with pytest.raises(CodecError, match=r"value\['price'\] is of type .*Money.* register the type"):
        CODEC.encode({"price": Money(5)}, key=b"")


@pytest.mark.parametrize(
    "types",
    [
        [MONEY, DataType(Colour, "money", str, Colour)],
        [MONEY, DataType(Money, "coins", str, Money)],
        [DataType(int, "number", str, int)],
        [DataType(dict, "mapping", list, dict)],
    ],
)
def test_registered_types_are_told_apart(types: Iterable[DataType]) -> None:
    """A name or a type that is registered twice, or that the codec knows itself, is refused at once."""
    with pytest.raises(SpecError, match="DataType"):
        DataCodec(types=types)
