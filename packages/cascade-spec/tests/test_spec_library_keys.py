"""Claims about values of libraries in keys: equal data has one digest, and whatever differs has another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from functools import cached_property
from itertools import combinations
from typing import Any

import attrs
import msgspec
import numpy as np
import pandas as pd
import pydantic
import pytest

from cascade.spec import UncacheableError
from cascade.spec.encoding.canonical import digest


class Point(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: int
    y: int = 0
    _hidden: list[int] = pydantic.PrivateAttr(default_factory=list)

    @cached_property
    def total(self) -> int:
        return self.x + self.y

    def hiding(self, number: int) -> Point:
        self._hidden.append(number)
        return self


class Other(pydantic.BaseModel):
    x: int
    y: int = 0


@attrs.define
class Slotted:
    x: int
    y: int = attrs.field(default=0, eq=False)

    @cached_property
    def total(self) -> int:
        return self.x + self.y


@attrs.define(slots=False)
class Loose:
    x: int


@attrs.frozen(cache_hash=True)
class Hashed:
    x: int


class Struct(msgspec.Struct):
    x: int
    y: int = 0


class Tagged(msgspec.Struct, tag=True):
    x: int
    y: int = 0


VALUES: list[Callable[[], object]] = [
    lambda: {"a": 1},
    lambda: Counter(a=1),
    lambda: Counter(a=2),
    lambda: OrderedDict(a=1),
    lambda: OrderedDict([("a", 1), ("b", 2)]),
    lambda: OrderedDict([("b", 2), ("a", 1)]),
    lambda: defaultdict(None, {"a": 1}),
    lambda: defaultdict(int, {"a": 1}),
    lambda: defaultdict(list, {"a": [1]}),
    lambda: deque([1]),
    lambda: deque([1], 1),
    lambda: deque([1], 2),
    lambda: [1],
    lambda: Point(x=1),
    lambda: Point(x=1, y=0),  # which fields were given shows in `model_fields_set`
    lambda: Point(x=2),
    lambda: Point.model_validate({"x": 1, "z": 2}),
    lambda: Point(x=1).hiding(3),
    lambda: Other(x=1),
    lambda: Slotted(1),
    lambda: Slotted(1, 2),
    lambda: Loose(1),
    lambda: Hashed(1),
    lambda: Struct(1),
    lambda: Struct(1, 2),
    lambda: Tagged(1),
    lambda: pd.Interval(0, 1),
    lambda: pd.Interval(0, 1, closed="left"),
    lambda: pd.Period("2024-01", "M"),
    lambda: pd.Period("2024-01-01", "D"),
    lambda: pd.Timestamp("1500-01-01"),
    lambda: pd.Timestamp("1500-01-01").as_unit("s"),
    lambda: pd.Timestamp("2024-01-01"),
    lambda: pd.Timestamp("2024-01-01", tz="UTC"),
    lambda: pd.Timedelta("1h"),
    lambda: pd.Timedelta("1h").as_unit("s"),
    lambda: pd.Series([1, None], dtype="Int64").array,
    lambda: pd.Series([1, None], dtype="Int64"),
    lambda: pd.Series([1, None], dtype="Int32"),
    lambda: pd.Series([1, None], dtype="Float64"),
    lambda: pd.arrays.FloatingArray(np.array([np.nan]), np.array([False])),
    lambda: pd.arrays.FloatingArray(np.array([np.nan]), np.array([True])),
    lambda: pd.Series(["a", None], dtype="string"),
    lambda: pd.Series(["a", None]),
    lambda: pd.Series(["a", None], dtype=object),
    lambda: pd.Categorical(["a", "b"]),
    lambda: pd.Categorical(["a", "b"], ordered=True),
    lambda: pd.Categorical(["a", "b"], categories=["b", "a"]),
    lambda: pd.interval_range(0, 2),
    lambda: pd.interval_range(0, 2, closed="left"),
    lambda: pd.Series(pd.interval_range(0, 2)),
    lambda: pd.Series(pd.period_range("2024", periods=2, freq="D")),
    lambda: pd.Series(pd.arrays.SparseArray([0, 1])),
    lambda: np.int64(1),
    lambda: np.int32(1),
    lambda: np.array(1),
]


def touched(value: Any) -> Any:
    """Return the value after what is computed from it has been asked for."""
    if isinstance(value, Point | Slotted):
        assert value.total >= 0
    if isinstance(value, Hashed):
        assert hash(value)
    return value


def test_values_of_libraries_have_digests_of_their_data() -> None:
    """Each value has one digest, computed properties or not, and no two that differ have the same."""
    digests = [digest(make()) for make in VALUES]
    assert [digest(touched(make())) for make in VALUES] == digests
    assert [
        pair for pair in combinations(range(len(VALUES)), 2) if digests[pair[0]] == digests[pair[1]]
    ] == []


def with_attribute(value: Any) -> Any:
    value.note = 1
    return value


class Inside(Counter):  # type: ignore[type-arg]  # the form under test
    pass


@pytest.mark.parametrize(
    "make",
    [
        lambda: with_attribute(OrderedDict(a=1)),
        lambda: with_attribute(Loose(1)),
        lambda: Inside("a"),
        lambda: defaultdict(lambda: 1),
        lambda: defaultdict(Inside),
        lambda: deque([object()]),
        lambda: Point.model_construct(x=object()),
        lambda: pd.DataFrame({"a": pd.Series([object()], dtype=object)}),
    ],
)
def test_what_holds_more_than_can_be_seen_has_no_digest(make: Callable[[], object]) -> None:
    """Subclasses, further attributes and factories of one's own are refused."""
    with pytest.raises(UncacheableError):
        digest(make())


def test_digests_of_libraries_values_are_the_same_everywhere() -> None:
    """No digest depends on the process and its hash seed, and none imports a library."""
    script = (
        "import sys, cascade.spec.encoding.canonical as e; from collections import Counter, deque, defaultdict;"
        "import msgspec\n"
        "print(e.digest([Counter('ab'), deque([1], 2), defaultdict(list)]).hex(), 'numpy' in sys.modules)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout.strip()
        for seed in ("0", "1")
    }
    assert found == {f"{digest([Counter('ab'), deque([1], 2), defaultdict(list)]).hex()} False"}
