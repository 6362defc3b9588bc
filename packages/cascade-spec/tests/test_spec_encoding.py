"""Claims about the canonical encoding: equal digests for equal data, different ones for all else."""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import math
import os
import pathlib
import random
import subprocess
import sys
import uuid
from collections import UserDict
from dataclasses import dataclass
from itertools import combinations
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cascade as cs
from cascade.spec import UncacheableError
from cascade.spec.encoding.canonical import digest


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Level(enum.IntEnum):
    ONE = 1


class Pair(NamedTuple):
    a: int
    b: int


@dataclass
class Point:
    a: int
    b: int


@dataclass
class Other:
    a: int
    b: int


DIFFERENT: list[object] = [
    None,
    0,
    1,
    -1,
    255,
    256,
    2**200,
    True,
    False,
    0.0,
    -0.0,
    1.0,
    math.inf,
    math.nan,
    1 + 0j,
    "",
    "1",
    "None",
    b"1",
    bytearray(b"1"),
    [],
    (),
    {},
    set(),
    frozenset(),
    [1],
    (1,),
    {1},
    frozenset({1}),
    [1, 2],
    [2, 1],
    [[1], 2],
    [[1, 2]],
    [[], [1, 2]],
    ["ab", "c"],
    ["a", "bc"],
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {1: 2},
    [1, 2, 3],
    Pair(1, 2),
    Point(1, 2),
    Other(1, 2),
    Point(2, 1),
    Colour.RED,
    Colour.BLUE,
    Level.ONE,
    pathlib.PurePosixPath("1"),
    decimal.Decimal("1.0"),
    decimal.Decimal("1.00"),
    fractions.Fraction(1),
    datetime.date(2026, 1, 1),
    datetime.datetime(2026, 1, 1),  # noqa: DTZ001 - a time without a zone is a value too
    datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    datetime.datetime(2026, 1, 1, fold=1),  # noqa: DTZ001
    datetime.time(1),
    datetime.timedelta(1),
    uuid.UUID(int=1),
    range(1),
    cs.inject("db"),
    cs.inject("cache"),
    "\ud800",
]


def test_different_values_have_different_digests() -> None:
    """Values that differ in type, content, order or nesting differ; so do 1, True and 1.0."""
    digests = [digest(value) for value in DIFFERENT]
    same = [(a, b) for (a, x), (b, y) in combinations(zip(DIFFERENT, digests, strict=True), 2) if x == y]
    assert same == []


@given(st.lists(st.integers() | st.text() | st.floats(allow_nan=False) | st.booleans() | st.none()))
def test_equal_values_have_equal_digests(items: list[Any]) -> None:
    """A value built again from the same parts has the same digest."""
    assert digest(items) == digest(list(items))
    assert digest({"k": tuple(items)}) == digest({"k": tuple(items)})


@given(st.sets(st.integers() | st.text(), min_size=2), st.randoms())
def test_the_order_of_a_set_does_not_matter(members: set[Any], source: random.Random) -> None:
    """Sets of the same members have one digest, in whatever order they were filled."""
    shuffled = list(members)
    source.shuffle(shuffled)
    assert digest(set(shuffled)) == digest(members)


def test_sharing_does_not_matter() -> None:
    """One list in two places has the digest of two equal lists."""
    one = [1, 2]
    assert digest([one, one]) == digest([[1, 2], [1, 2]])


def test_exponentially_shared_values_take_linear_time() -> None:
    """A value whose parts share each other exponentially takes time by its parts."""
    shared: Any = [1]
    for _ in range(200):
        shared = [shared, (shared,), {"k": shared}]
    assert len(digest(shared)) == 32


def test_depth_has_no_limit() -> None:
    """A value 100,000 deep is digested without recursion."""
    nested: Any = 1
    for _ in range(100_000):
        nested = [nested]
    assert len(digest(nested)) == 32


def test_what_contains_itself_has_no_digest() -> None:
    """A list that contains itself is refused."""
    cyclic: list[Any] = []
    cyclic.append([cyclic])
    with pytest.raises(UncacheableError, match="list that contains itself"):
        digest(cyclic)


@pytest.mark.parametrize("value", [object(), print, Point, UserDict(a=1), lambda: None, cs.task(len)(1)])
def test_what_has_no_canonical_form_is_refused_by_name(value: object) -> None:
    """Objects, functions, classes and subclasses of containers are refused, wherever they stand, and named."""
    with pytest.raises(UncacheableError, match=type(value).__qualname__):
        digest([{"k": (value,)}])


def test_digests_are_the_same_in_every_interpreter() -> None:
    """The digest of a value does not depend on the process and its hash seed."""
    value = "[{'a', 'b', 'c'}, {'k': (1, 2.5, None)}, b'x']"
    script = f"from cascade.spec.encoding.canonical import digest; print(digest({value}).hex())"
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1", "2")
    }
    assert found == {"4f474d98ab48dd373efb49480b8f3a5ef972114325b18ab4c44a6f5c2d245561"}
