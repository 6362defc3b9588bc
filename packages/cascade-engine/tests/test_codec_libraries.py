"""Claims about values of libraries: what `DataCodec` keeps of NumPy, pandas, models and collections."""

from __future__ import annotations

import copy
import datetime
import math
import os
import random
import subprocess
import sys
import textwrap
import zoneinfo
from collections import Counter, OrderedDict, defaultdict, deque
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import msgspec
import numpy as np
import pandas as pd
import pydantic
import pytest

from cascade.adapters.codec import DataCodec
from cascade.adapters.codec.envelope import seal, unseal
from cascade.spec import CodecError, DamagedDataError, StoredReferenceError

CODEC = DataCodec()
RAN: list[str] = []
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


def again(value: object) -> Any:
    return CODEC.decode(CODEC.encode(value, key=b"key"), key=b"key")


class Point(pydantic.BaseModel):
    x: int
    y: float = 0.5
    tags: list[str] = []


class Validated(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow")
    x: int
    _seen: list[int] = pydantic.PrivateAttr(default_factory=list)

    @pydantic.field_validator("x")
    @classmethod
    def check(cls, value: int) -> int:
        RAN.append("validator")
        return value

    def model_post_init(self, context: object) -> None:
        RAN.append("post init")
        super().model_post_init(context)

    def note(self, number: int) -> None:
        self._seen.append(number)

    def noted(self) -> list[int]:
        return self._seen

    @pydantic.computed_field  # type: ignore[prop-decorator]  # the form that pydantic's own docs give
    @cached_property
    def twice(self) -> int:
        return 2 * self.x


class Inner(pydantic.BaseModel):
    point: Point | None = None
    when: datetime.datetime = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


class Words(pydantic.RootModel[list[str]]):
    pass


@pydantic.dataclasses.dataclass
class Checked:
    x: int


@attrs.define
class Slotted:
    x: int
    y: list[int] = attrs.field(factory=list)
    _hidden: str = "h"

    def __attrs_post_init__(self) -> None:
        RAN.append("attrs post init")

    @cached_property
    def twice(self) -> int:
        return 2 * self.x


@attrs.frozen
class Frozen:
    x: int = attrs.field(converter=int)


@attrs.define(slots=False)
class Loose:
    x: int


@attrs.frozen(cache_hash=True)
class Hashed:
    x: int


class Struct(msgspec.Struct):
    x: int
    y: list[int] = []


class FrozenStruct(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    x: int = 3


class LooseStruct(msgspec.Struct, dict=True):
    x: int

    @cached_property
    def twice(self) -> int:
        return 2 * self.x


class EndingStruct(msgspec.Struct):
    x: int

    def __post_init__(self) -> None:
        RAN.append("struct post init")


def touched(value: Any) -> Any:
    """Return the value after what is computed from its fields has been asked for."""
    assert value.twice
    return value


shared = [1, 2]

EQUAL: list[object] = [
    Counter("abca"),
    Counter({"a": -1, (1, 2): 2.5}),
    OrderedDict([("b", 1), ("a", [2])]),
    defaultdict(list, {"a": [1]}),
    defaultdict(None, {1: 2}),
    defaultdict(Counter, {1: Counter("a")}),
    deque([1, "a", (2,)]),
    deque([1, 2], maxlen=2),
    deque(maxlen=0),
    {"nested": [Counter({frozenset({1}): 1}), deque([deque()])]},
    Point(x=1),
    Point(x=1, y=2, tags=["a"]),
    touched(Validated.model_validate({"x": 1, "more": {"a": [1]}})),
    Inner(point=Point(x=1)),
    Inner(),
    Words(["a"]),
    Checked(1),
    touched(Slotted(1, [2])),
    Frozen("3"),
    Loose(1),
    Hashed(1),
    {Frozen(1): [Frozen(2)], Hashed(3): 4},
    Struct(1, [2]),
    FrozenStruct(x=1),
    {FrozenStruct(x=1): FrozenStruct()},
    touched(LooseStruct(1)),
    [Struct(1, shared), shared],
]


@pytest.mark.parametrize("value", EQUAL, ids=lambda value: f"{type(value).__name__}")
def test_values_of_libraries_are_kept(value: object) -> None:
    """What comes back is equal, of the same type, and has the same text."""
    read = again(value)
    assert type(read) is type(value)
    assert read == value
    assert repr(read) == repr(value)


def test_what_a_collection_is_made_with_is_kept() -> None:
    """The factory of a `defaultdict` and the room of a `deque` come back; a counter still counts."""
    read = again(defaultdict(list))
    read["a"].append(1)
    assert read == {"a": [1]}
    assert again(deque([1], 1)).maxlen == 1
    assert again(Counter("a"))["missing"] == 0


def test_what_a_model_holds_beside_its_fields_is_kept() -> None:
    """Which fields were given, extra values and private attributes of a model come back."""
    model = Validated.model_validate({"x": 1, "more": 2})
    model.note(5)
    read = again(model)
    assert read.model_fields_set == {"x", "more"}
    assert read.model_extra == {"more": 2}
    assert read.noted() == [5]
    assert again(Point(x=1)).model_dump(exclude_unset=True) == {"x": 1}
    read.x = 2
    assert read.model_dump(exclude={"twice"}) == {"x": 2, "more": 2}


def test_loading_runs_nothing_of_a_model() -> None:
    """No validator, converter, `__init__` or `post_init` runs when a value is read."""
    data = CODEC.encode([Validated(x=1), Slotted(1), Frozen("1"), Checked(1)], key=b"")
    RAN.clear()
    DataCodec().decode(data, key=b"")
    assert RAN == []


ARRAYS: list[Any] = [
    np.arange(6).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(10)[::2],
    np.arange(6).reshape(2, 3).T,
    np.array(5),
    np.array([]),
    np.zeros((0, 3), "f4"),
    np.zeros((3, 0), "U3"),
    np.array([1.5, math.nan, math.inf, -0.0]),
    np.array([True, False]),
    np.array([1 + 2j]),
    np.array(["a", "bc", ""]),
    np.array([b"a", b"bc"]),
    np.array([1, 2], ">i2"),
    np.array([1], "f2"),
    np.array([1], np.longdouble),
    np.array(["2024-01-01", "NaT"], "M8[D]"),
    np.array([1, 2], "m8[ns]"),
    np.array([(1, "a", [1, 2])], [("x", "i4"), ("y", "U3"), ("z", "f8", (2,))]),
    np.zeros(2, np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 24})),
    np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
    np.zeros(2, [("in", [("x", "i4")])]),
    np.array([b"12345678"], "V8"),
    np.array([1, "a", None, [1], (2,)], object),
    np.array([[1, {2}], ["b", None]], object),
    np.array(["a", "é" * 50], np.dtypes.StringDType()),
    np.array(["a", None], np.dtypes.StringDType(na_object=None)),
    np.array(["a", math.nan], np.dtypes.StringDType(na_object=math.nan)),
]


@pytest.mark.parametrize("value", ARRAYS, ids=lambda value: f"{value.dtype}{value.shape}")
def test_arrays_are_kept(value: Any) -> None:
    """Type, shape, order and content of an array come back, in memory of its own that can be written to."""
    read = again([value])[0]
    assert type(read) is np.ndarray
    assert (read.dtype, read.shape) == (value.dtype, value.shape)
    assert read.flags.f_contiguous == np.array(value, order="K").flags.f_contiguous or value.ndim > 1
    np.testing.assert_equal(read.tolist(), value.tolist())
    assert read.flags.writeable
    assert read.flags.owndata or read.base is not None


def test_an_element_that_is_a_sequence_stays_one() -> None:
    """Lists and arrays inside an array of objects are no dimensions of it."""
    value = np.empty(2, object)
    value[0], value[1] = [1, 2], np.arange(2)
    read = again(value)
    assert read.shape == (2,)
    assert read[0] == [1, 2]
    assert read[1].tolist() == [0, 1]
    assert again(np.float64(1.5)).is_integer() is False


SCALARS: list[Any] = [
    np.int64(5),
    np.uint8(255),
    np.float32(1.5),
    np.float64(-0.0),
    np.bool_(True),
    np.complex64(1j),
    np.str_("a"),
    np.str_(""),
    np.bytes_(b""),
    np.datetime64("2024-01-01T00", "h"),
    np.timedelta64(5, "s"),
    np.longdouble(1) / 3,
    np.zeros(1, [("x", "i4"), ("y", "U2")])[0],
    pd.Timestamp("2024-01-01 12:00"),
    pd.Timestamp("1500-01-01", tz="UTC"),
    pd.Timestamp("2024-10-27 00:30", tz="UTC").tz_convert(BERLIN),
    pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert(BERLIN),
    pd.Timestamp("2024-01-01").as_unit("s"),
    pd.Timestamp(datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))),
    pd.Timedelta("1 day 2 ns"),
    pd.Timedelta(5, "s").as_unit("s"),
    pd.Period("2024-01", "M"),
    pd.Interval(0, 1, closed="left"),
    pd.Interval(pd.Timestamp("2024-01-01"), pd.Timestamp("2024-01-02")),
]


@pytest.mark.parametrize("value", SCALARS, ids=lambda value: f"{type(value).__name__} {value}")
def test_scalars_are_kept(value: Any) -> None:
    """A scalar of NumPy or pandas comes back as one of its own type, exactly."""
    read = again({"a": (value,)})["a"][0]
    assert type(read) is type(value)
    assert repr(read) == repr(value)
    assert getattr(read, "unit", 0) == getattr(value, "unit", 0)
    assert getattr(read, "fold", 0) == getattr(value, "fold", 0)
    if isinstance(value, np.generic):
        assert read.dtype == value.dtype


def test_missing_values_are_themselves() -> None:
    """`NaT` and `NA` are read as the very objects; a `NaT` of NumPy stays one."""
    read = again([pd.NaT, pd.NA, np.datetime64("NaT", "D")])
    assert read[0] is pd.NaT
    assert read[1] is pd.NA
    assert np.isnat(read[2])


def test_scalars_may_be_keys() -> None:
    """Scalars of NumPy and pandas may be dict keys and set members."""
    value = {
        np.int64(1): "a",
        pd.Timestamp("2024-01-01"): "b",
        np.str_("x"): {np.float64(2.5), pd.Period("2024", "Y")},
    }
    read = again(value)
    assert read == value
    assert [type(key) for key in read] == [type(key) for key in value]
    assert again(Counter(np.array([1, 1, 2]))) == {1: 2, 2: 1}


def times(**given: Any) -> Any:
    return pd.date_range("2024-03-30", periods=4, **given)


INDEXES: list[Any] = [
    pd.Index([1, 2, 3]),
    pd.Index([1.5, 2], name="x"),
    pd.Index(["a", "b"], name=("two", 1)),
    pd.Index(["a", 1, None], dtype=object),
    pd.Index([], dtype=object),
    pd.Index(["a", "b"], dtype="string"),
    pd.Index([1, None], dtype="Int64"),
    pd.Index([True, False]),
    pd.RangeIndex(3),
    pd.RangeIndex(10, 0, -3, name="r"),
    times(freq="D"),
    times(freq="W-MON", name="when"),
    times(freq="h", tz=BERLIN),
    times(freq="D", tz=datetime.timezone(datetime.timedelta(hours=2))),
    times(freq="2ME").as_unit("s"),
    times(freq="D")[[0, 2, 1]],
    pd.DatetimeIndex(["2024-01-01", None]),
    pd.timedelta_range("1h", periods=3, freq="30min"),
    pd.TimedeltaIndex(["1h", None]),
    pd.period_range("2024-01", periods=3, freq="M"),
    pd.CategoricalIndex(["a", "b", "a"], ordered=True, categories=["b", "a", "c"], name="c"),
    pd.interval_range(0, 3),
    pd.IntervalIndex.from_breaks(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03"]), closed="left"),
    pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["x", None]),
    pd.MultiIndex.from_arrays([times(freq="D"), [1, None, 2, 2]]),
    pd.MultiIndex.from_tuples([("a", 1)])[:0],
]


@pytest.mark.parametrize("value", INDEXES, ids=lambda value: f"{type(value).__name__} {value.dtype}")
def test_indexes_are_kept(value: Any) -> None:
    """An index comes back with its class, type, names, steps and content."""
    read = again([value])[0]
    pd.testing.assert_index_equal(read, value, exact=True, check_exact=True)
    assert type(read) is type(value)
    assert read.names == value.names
    assert getattr(read, "freq", None) == getattr(value, "freq", None)


COLUMNS: dict[str, Any] = {
    "int": [1, 2, 3],
    "float": [1.5, math.nan, -0.0],
    "text": ["a", None, "c"],
    "object": pd.Series([[1], {"a": (2,)}, None], dtype=object),
    "texts as objects": pd.Series(["a", "b", "c"], dtype=object),
    "string": pd.array(["a", None, "c"], dtype="string"),
    "Int8": pd.array([1, None, 3], dtype="Int8"),
    "UInt64": pd.array([2**63, None, 3], dtype="UInt64"),
    "Float32": pd.array([1.5, None, 3], dtype="Float32"),
    "Float64": pd.arrays.FloatingArray(np.array([1.0, math.nan, 0]), np.array([False, False, True])),
    "boolean": pd.array([True, None, False], dtype="boolean"),
    "category": pd.Categorical(["a", None, "a"], categories=["b", "a"], ordered=True),
    "category of times": pd.Categorical(times(freq="D")[:3]),
    "times": times(freq="D")[:3],
    "zoned": times(freq="D", tz=BERLIN)[:3],
    "spans": pd.to_timedelta(["1h", None, "3 days"]),
    "periods": pd.period_range("2024-01", periods=3, freq="M"),
    "intervals": pd.arrays.IntervalArray.from_arrays([0, math.nan, 2], [1, math.nan, 3]),
    "sparse": pd.arrays.SparseArray([0, 0, 1]),
    "sparse nan": pd.arrays.SparseArray([math.nan, 2.5, math.nan]),
    "bool": [True, False, True],
    "complex": [1j, 2, 3],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_kept(name: str) -> None:
    """A series, a frame and a bare array of each kind of column come back with type and content."""
    series = pd.Series(COLUMNS[name], index=["x", "y", "z"], name=name)
    series.attrs = {"unit": ["m"]}
    read = again(series)
    pd.testing.assert_series_equal(read, series, check_exact=True, check_freq=True)
    assert read.attrs == series.attrs
    frame = pd.DataFrame({"n": [1, 2, 3], name: COLUMNS[name]}) if name != "object" else series.to_frame()
    pd.testing.assert_frame_equal(again(frame), frame, check_exact=True)
    assert [type(each) for each in again(series).tolist()] == [type(each) for each in series.tolist()]
    bare = series.array
    pd.testing.assert_extension_array_equal(again(bare), bare, check_exact=True)


def test_frames_are_kept() -> None:
    """Frames come back with columns, index, attributes and flags, whatever their shape."""
    columns = pd.DataFrame({name: list(pd.Series(content)) for name, content in COLUMNS.items()})
    twins = pd.DataFrame([[1, 2.5], [3, 4]], columns=["a", "a"])
    noted = pd.DataFrame({"a": [1]})
    noted.attrs = {"source": Counter("a")}
    flagged = pd.DataFrame({"a": [1]}).set_flags(allows_duplicate_labels=False)
    frames = [
        columns,
        twins,
        noted,
        flagged,
        pd.DataFrame(),
        pd.DataFrame(index=[1, 2]),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame(np.arange(6.0).reshape(2, 3)),
        pd.DataFrame(np.array([["a", 1], [None, 2]], object)),
        pd.DataFrame({"a": ["x", "y"], "b": ["z", None]}),
        pd.DataFrame({("a", 1): [1], ("b", 2): [2]}),
        pd.DataFrame({"t": times(freq="D"), "u": times(freq="D")}),
        pd.DataFrame({"t": times(freq="D", tz="UTC")}, index=times(freq="D", tz=BERLIN)),
        pd.DataFrame({"a": [1, 2], "b": [1, 2]}).groupby("a").agg(["sum", "mean"]),
    ]
    for frame in frames:
        read = again({"frame": frame})["frame"]
        pd.testing.assert_frame_equal(read, frame, check_exact=True, check_column_type="equiv")
        assert read.attrs == frame.attrs
        assert read.flags == frame.flags
        assert list(read.dtypes) == list(frame.dtypes)


def test_what_is_read_is_the_readers_own() -> None:
    """Changing what was read changes neither what was stored nor what is read again."""
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    data = CODEC.encode([frame, np.arange(3)], key=b"")
    read: Any = CODEC.decode(data, key=b"")
    read[0].loc[0, "a"] = 9
    read[1][0] = 9
    again_read: Any = CODEC.decode(data, key=b"")
    assert again_read[0].loc[0, "a"] == 1
    assert again_read[1].tolist() == [0, 1, 2]


class Frame(pd.DataFrame):
    pass


class Array(np.ndarray[Any, Any]):
    pass


class Named(Counter):  # type: ignore[type-arg]  # the form under test
    pass


HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2024-01-02"])


def factory() -> Any:
    return Point(x=1)


def anything() -> Any:
    return object()


def noted_counter() -> Any:
    value = Named("a").copy()
    value.__class__ = Named
    return value


@dataclass(frozen=True)
class Loud:
    x: int

    def __hash__(self) -> int:
        RAN.append("hash")
        return self.x


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ([Frame({"a": [1]})], r"value\[0\] is of type .*Frame"),
        ([np.arange(3).view(Array)], r"value\[0\] is of type .*Array"),
        ([np.ma.masked_array([1], [True])], r"value\[0\] is of type .*MaskedArray"),
        (noted_counter(), "value is of type .*Named"),
        (defaultdict(lambda: 1), r"value is of type collections.defaultdict.*a factory is code: store dict\(value\)"),
        ({"d": defaultdict(factory)}, r"value\['d'\] is of type collections.defaultdict"),
        (Counter({"a": object()}), r"value\['a'\] is of type object"),
        (deque([1, object()]), r"value\[1\] is of type object"),
        (np.array([1, object()], object), r"value.flat\[1\] is of type object"),
        (pd.DataFrame({"n": [1], "col": [object()]}), r"value\['col'\].flat\[0\] is of type object"),
        (pd.Series([1, object()], dtype=object), r"value.flat\[1\] is of type object"),
        (pd.Series([1], name=Loud(1)), r"value\.name is of type .*Loud.*__hash__"),
        (pd.Index([0, Loud(1)], dtype=object), r"value\[1\] is of type .*Loud.*__hash__"),
        (pd.DataFrame({"a": [1]}, index=pd.Index([Loud(1)], dtype=object)), r"value\.index.*Loud.*__hash__"),
        (pd.date_range("2024-01-01", periods=2, freq=HOLIDAYS), "give its freq a name"),
        (Point.model_construct(x=object()), r"value\.x is of type object"),
        (Validated.model_validate({"x": 1, "more": object()}), r"value\.model_extra\['more'\] is of type object"),
        (Slotted(anything()), r"value\.x is of type object"),
        (Struct(anything()), r"value\.x is of type object"),
        (EndingStruct(1), "value is of type .*EndingStruct.*__post_init__"),
        ({Loud(1): 1}, r"^list\(value\)\[0\] is of type .*Loud.*__hash__"),
        ({1: 1, (0, Loud(1)): 1}, r"^list\(value\)\[1\]\[1\] is of type .*Loud"),
        ({"a": {1, anything()}}, r"^list\(value\['a'\]\)\[[01]\] is of type object"),
        ({"a": {(0, anything()): 1}}, r"^list\(value\['a'\]\)\[0\]\[1\] is of type object"),
        ({"a": {Loud(1)}}, r"^list\(value\['a'\]\)\[0\] is of type .*Loud"),
    ],
)  # fmt: skip
def test_what_can_not_be_stored_is_named_with_its_place(value: object, told: str) -> None:
    """The error names the type of the very part at fault and the way to it, be it a key, a member or a label."""
    with pytest.raises(CodecError, match=told):
        CODEC.encode(value, key=b"")


def test_loading_imports_nothing(tmp_path: Path) -> None:
    """In a fresh process, values of libraries that are not imported are a typed error that names what to import."""
    (tmp_path / "things.py").write_text("import pydantic\nclass Point(pydantic.BaseModel):\n    x: int\n")
    writing = """
        import sys, things, numpy, pandas
        from cascade.adapters.codec import DataCodec
        values = [numpy.arange(2), numpy.int8(1), pandas.DataFrame({"a": [1]}), pandas.Timestamp(0), things.Point(x=1)]
        print(*(DataCodec().encode(value, key=b"k").hex() for value in values))
    """
    reading = """
        import sys
        from cascade.adapters.codec import DataCodec
        from cascade.spec import StoredReferenceError
        before = set(sys.modules)
        for data in sys.argv[1:]:
            try:
                print(type(DataCodec().decode(bytes.fromhex(data), key=b"k")))
            except StoredReferenceError as error:
                print(error)
        print(sorted(set(sys.modules) - before))
    """
    path = os.pathsep.join([str(tmp_path), *sys.path])
    written = python(textwrap.dedent(writing), path).split()
    assert python(textwrap.dedent(reading), path, *written).splitlines() == [
        "stored data names a numpy.ndarray, but numpy is not imported; import numpy first",
        "stored data names a numpy.generic, but numpy is not imported; import numpy first",
        "stored data names a pandas.StringArray, but pandas is not imported; import pandas first",
        "stored data names a pandas.Timestamp, but pandas is not imported; import pandas first",
        "stored data names things.Point, but the module things is not imported; import things first",
        "[]",
    ]
    loaded = python("import things, pandas, zoneinfo\n" + textwrap.dedent(reading), path, *written)
    assert loaded.splitlines()[-1] == "[]"


def python(program: str, path: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PYTHONPATH": path},
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.strip()


FORGED: list[object] = [*EQUAL, *ARRAYS, *SCALARS, *INDEXES, *(pd.Series(each) for each in COLUMNS.values())]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.filterwarnings("ignore")
def test_forged_values_of_libraries_are_damage(seed: int) -> None:
    """Programs with parts that were changed, and a checksum that fits, are read or a typed error, in bounded memory."""
    draw = random.Random(seed)
    atoms: list[Any] = [
        0,
        -1,
        2**62,
        "O",
        "i8",
        "numpy.ndarray",
        b"x" * 8,
        None,
        1.5,
        [],
        {},
        True,
        "",
        [2**40],
        "ns",
    ]
    for value in FORGED:
        payload = bytes(unseal(2, CODEC.encode([value, {1}], key=b"k"), b"k"))
        if payload[:1] != b"\x01":
            continue
        steps = msgspec.msgpack.decode(payload[1:])
        for _ in range(20):
            forged = msgspec.msgpack.decode(msgspec.msgpack.encode(steps))
            for _ in range(draw.choice([1, 1, 2])):
                change(forged, atoms, draw)
            data = seal(2, b"\x01" + msgspec.msgpack.encode(forged), b"k")
            with suppress(DamagedDataError, StoredReferenceError):
                CODEC.decode(data, key=b"k")


def change(steps: list[Any], atoms: list[Any], draw: random.Random) -> None:
    """Put something else in the place of an operand or of what is inside it."""
    at: Any = steps
    where: Any = draw.randrange(len(steps) // 2) * 2 + 1
    while isinstance(at[where], list) and at[where] and draw.random() < 0.8:
        at, where = at[where], draw.randrange(len(at[where]))
    at[where] = copy.deepcopy(draw.choice(atoms))


@pytest.mark.parametrize(
    "steps",
    [
        [0, b"x" * 16, 15, ["numpy.ndarray", ["O", [2], "C"], 1]],
        [0, b"x" * 16, 15, ["numpy.ndarray", ["|O8", [2], "C"], 1]],
        [0, b"x" * 16, 15, ["numpy.ndarray", [["fields", ["a"], ["|O8"], [0], 8, False], [2], "C"], 1]],
        [0, b"", 15, ["numpy.ndarray", ["<f8", [2**40], "C"], 1]],
        [0, b"", 15, ["numpy.ndarray", ["<f8", [2**40, 0, 2**40], "C"], 1]],
        [0, b"", 15, ["numpy.ndarray", ["|V0", [2**40], "C"], 1]],
        [0, b"x" * 8, 15, ["numpy.generic", ["scalar", "|O8"], 1]],
        [6, 0, 15, ["numpy.ndarray", ["O", [2**40], "C"], 1]],
    ],
)
def test_bombs_of_arrays_are_damage(steps: list[Any]) -> None:
    """Addresses in place of objects, and shapes beyond the data, are damage before any memory is taken."""
    data = seal(2, b"\x01" + msgspec.msgpack.encode(steps), b"k")
    with pytest.raises(DamagedDataError):
        CODEC.decode(data, key=b"k")
