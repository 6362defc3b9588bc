"""Pandas' frames, series, indexes, columns and scalars as data.

A frame is its columns: NumPy's arrays as they are, and of pandas' own kinds of columns what each is made of. Pandas is
taken from the modules that are loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from cascade.adapters.codec.leaves import PLAIN
from cascade.adapters.codec.unsupported import Packed, UnsupportedError
from cascade.spec.errors import StoredReferenceError
from cascade.spec.source.references import find_loaded

_MASKED = ("IntegerArray", "FloatingArray", "BooleanArray")
_INDEXES = ("Index", "DatetimeIndex", "TimedeltaIndex", "PeriodIndex", "CategoricalIndex", "IntervalIndex")
_UNITS = frozenset({"s", "ms", "us", "ns"})


def _pandas() -> Any:
    return sys.modules["pandas"]


def _numpy() -> Any:
    return sys.modules["numpy"]


def name_of_array(cls: Any) -> str:
    """Return the name of the kind of a class that stands not at the top of pandas; empty if it is of none."""
    pandas = _pandas()
    if cls is type(pandas.NaT):
        return "pandas.NaT"
    if cls is type(pandas.NA):
        return "pandas.NA"
    name = str(cls.__qualname__)
    if name.startswith(("StringArray", "ArrowStringArray")) and issubclass(
        cls, pandas.api.extensions.ExtensionArray
    ):
        return "pandas.StringArray"
    return f"pandas.arrays.{name}" if find_loaded("pandas.arrays", name) is cls else ""


def _place(label: object, number: int) -> str:
    return f"[{label!r}]" if type(label) in PLAIN else f".iloc[:, {number}]"


# Frames and series


def _pack_frame(value: Any) -> Packed:
    flags = bool(value.flags.allows_duplicate_labels)
    kinds = set(value.dtypes)
    if len(kinds) == 1 and type(next(iter(kinds))).__module__.startswith("numpy"):
        columns, places = [value.to_numpy()], [".values"]  # all of one type: one block, however many they are
    else:
        columns = [_content(value.iloc[:, number]) for number in range(value.shape[1])]
        places = [_place(label, number) for number, label in enumerate(value.columns)]
    head = [len(value.columns), flags]
    return Packed(
        head,
        [value.columns, value.index, dict(value.attrs), *columns],
        [".columns", ".index", ".attrs", *places],
    )


def _unpack_frame(head: list[Any], parts: list[Any]) -> object:
    pandas = _pandas()
    width, flags = head
    labels, index, attrs, *columns = parts
    _check(isinstance(labels, pandas.Index) and isinstance(index, pandas.Index) and type(attrs) is dict)
    if len(columns) == 1 and getattr(columns[0], "ndim", 0) == 2:
        made = pandas.DataFrame(columns[0], index=index, dtype=columns[0].dtype, copy=False)
        _check(made.shape == (len(index), width))
    else:
        _check(len(columns) == width and all(len(each) == len(index) for each in columns))
        series = {number: _series_of(each, index) for number, each in enumerate(columns)}
        made = pandas.DataFrame(series, index=index, columns=range(width), copy=False)
    made.columns = labels
    made = made if flags else made.set_flags(allows_duplicate_labels=False)
    made.attrs = attrs  # last: a copy of the frame would copy these, in their own way
    return made


def _pack_series(value: Any) -> Packed:
    return Packed(
        bool(value.flags.allows_duplicate_labels),
        [value.name, value.index, dict(value.attrs), _content(value)],
        [".name", ".index", ".attrs", ""],
    )


def _unpack_series(head: bool, parts: list[Any]) -> object:
    name, index, attrs, content = parts
    _check(isinstance(index, _pandas().Index) and type(attrs) is dict and len(content) == len(index))
    made = _series_of(content, index, name)
    made = made if head else made.set_flags(allows_duplicate_labels=False)
    made.attrs = attrs
    return made


def _content(values: Any) -> Any:
    """Return what a column or an index holds: NumPy's array where there is one, else pandas' own."""
    return (
        values.to_numpy()
        if isinstance(values.dtype, _numpy().dtype) and values.dtype.kind not in "mM"
        else values.array
    )


def _series_of(content: Any, index: Any, name: object = None) -> Any:
    _check(isinstance(content, (_numpy().ndarray, _pandas().api.extensions.ExtensionArray)))
    return _pandas().Series(content, index=index, name=name, dtype=content.dtype, copy=False)


def _check(holds: object) -> None:
    if not holds:
        raise ValueError("its parts do not fit together")


# Indexes


def _pack_index(value: Any) -> Packed:
    return Packed(_frequency(value), [value.name, _content(value)], [".name", ""])


def _frequency(index: Any) -> str | None:
    """Return the step of an index of times as text.

    Raises:
        UnsupportedError: If the text does not say all of it.
    """
    step = (
        getattr(index, "freq", None)
        if isinstance(index, (_pandas().DatetimeIndex, _pandas().TimedeltaIndex))
        else None
    )
    if step is None:
        return None
    text = str(step.freqstr)
    try:
        found = _pandas().tseries.frequencies.to_offset(text)
    except ValueError:
        found = None
    if found != step:
        raise UnsupportedError("give its freq a name that pandas knows, or set it to None")
    return text


def _unpack_index(head: str | None, parts: list[Any]) -> object:
    name, content = parts
    _check(isinstance(content, (_numpy().ndarray, _pandas().api.extensions.ExtensionArray)))
    made = _pandas().Index(content, dtype=content.dtype, name=name, copy=False)
    if head is not None:
        _check(type(head) is str)
        made.freq = head
    return made


def _pack_range(value: Any) -> Packed:
    return Packed([int(value.start), int(value.stop), int(value.step)], [value.name], [".name"])


def _unpack_range(head: list[int], parts: list[Any]) -> object:
    (name,) = parts
    return _pandas().RangeIndex(*head, name=name)


def _pack_multi(value: Any) -> Packed:
    codes = [_numpy().asarray(each) for each in value.codes]
    names = [f".levels[{number}]" for number in range(value.nlevels)]
    return Packed(
        value.nlevels,
        [tuple(value.names), *value.levels, *codes],
        [".names", *names, *(".codes" for _ in codes)],
    )


def _unpack_multi(head: int, parts: list[Any]) -> object:
    names, *rest = parts
    _check(len(rest) == 2 * head and all(type(each) is _numpy().ndarray for each in rest[head:]))
    return _pandas().MultiIndex(levels=rest[:head], codes=rest[head:], names=names)


# Columns of pandas' own kinds


def _pack_times(value: Any) -> Packed:
    zone = getattr(value.dtype, "tz", None)
    return Packed([str(value.unit), _pack_zone(zone)], [value.asi8, _part_of_zone(zone)], ["", ".tz"])


def _pack_zone(zone: Any) -> str | None:
    """Return the name of a zone of pytz, which Python's own codecs know nothing of."""
    return str(zone.zone) if type(zone).__module__.partition(".")[0] == "pytz" and zone.zone else None


def _part_of_zone(zone: Any) -> object:
    return None if _pack_zone(zone) is not None else zone


def _unpack_zone(name: str | None, part: Any) -> Any:
    if name is None:
        return part
    if "pytz" not in sys.modules:
        raise StoredReferenceError("a time zone of pytz", "pytz is not imported", "import pytz first")
    return sys.modules["pytz"].timezone(name)


def _unpack_moments(head: list[Any], parts: list[Any]) -> object:
    unit, name = head
    numbers, zone = parts
    made = _pandas().DatetimeIndex(_counts(numbers, "M", unit))
    zone = _unpack_zone(name, zone)
    return (made if zone is None else made.tz_localize("UTC").tz_convert(zone)).array


def _unpack_spans(head: list[Any], parts: list[Any]) -> object:
    unit, _ = head
    return _pandas().TimedeltaIndex(_counts(parts[0], "m", unit)).array


def _counts(numbers: Any, kind: str, unit: str) -> Any:
    _check(
        type(numbers) is _numpy().ndarray
        and numbers.dtype == "int64"
        and numbers.ndim == 1
        and unit in _UNITS
    )
    return numbers.view(f"{kind}8[{unit}]")


def _pack_periods(value: Any) -> Packed:
    return Packed(str(value.freqstr), [value.asi8], [""])


def _unpack_periods(head: str, parts: list[Any]) -> object:
    (numbers,) = parts
    _check(
        type(head) is str
        and type(numbers) is _numpy().ndarray
        and numbers.dtype == "int64"
        and numbers.ndim == 1
    )
    return _pandas().PeriodIndex.from_ordinals(numbers, freq=head).array


def _pack_category(value: Any) -> Packed:
    return Packed(
        bool(value.ordered), [value.categories, _numpy().asarray(value.codes)], [".categories", ".codes"]
    )


def _unpack_category(head: bool, parts: list[Any]) -> object:
    categories, codes = parts
    _check(isinstance(categories, _pandas().Index) and type(codes) is _numpy().ndarray)
    return _pandas().Categorical.from_codes(codes, categories=categories, ordered=bool(head))


def _pack_intervals(value: Any) -> Packed:
    return Packed(str(value.closed), [_content(value.left), _content(value.right)], [".left", ".right"])


def _unpack_intervals(head: str, parts: list[Any]) -> object:
    left, right = (_unpack_index(None, [None, each]) for each in parts)
    return _pandas().arrays.IntervalArray.from_arrays(left, right, closed=head)


def _pack_masked(value: Any) -> Packed:
    kind = value.dtype.numpy_dtype
    return Packed(
        None,
        [value.to_numpy(dtype=kind, na_value=kind.type(0)), _numpy().asarray(value.isna())],
        ["", ".isna()"],
    )


def _unpack_masked(name: str) -> Any:
    def unpack(head: None, parts: list[Any]) -> object:
        values, missing = parts
        _check(values.shape == missing.shape and values.ndim == 1)
        return getattr(_pandas().arrays, name)(values, missing)

    return unpack


def _pack_texts(value: Any) -> Packed:
    kind = value.dtype
    missing = _numpy().asarray(value.isna())
    texts = [
        None if absent else str(each) for each, absent in zip(value.tolist(), missing.tolist(), strict=True)
    ]
    return Packed([str(kind.storage), kind.na_value is not _pandas().NA], [texts], [""])


def _unpack_texts(head: list[Any], parts: list[Any]) -> object:
    storage, is_nan = head
    (texts,) = parts
    _check(type(texts) is list and all(each is None or type(each) is str for each in texts))
    if storage != "python" and storage not in sys.modules:
        raise StoredReferenceError(
            f"a column of {storage}", f"{storage} is not imported", f"import {storage} first"
        )
    kind = _pandas().StringDtype(storage, na_value=float("nan") if is_nan else _pandas().NA)
    return _pandas().array(texts, dtype=kind)


def _pack_sparse(value: Any) -> Packed:
    kind = value.dtype
    if kind.subtype.hasobject:
        raise UnsupportedError("make it dense: its elements are objects")
    return Packed(None, [kind.fill_value, _numpy().asarray(value.to_dense())], [".fill_value", ""])


def _unpack_sparse(head: None, parts: list[Any]) -> object:
    fill, content = parts
    _check(type(content) is _numpy().ndarray and content.ndim == 1 and not content.dtype.hasobject)
    return _pandas().arrays.SparseArray(
        content, fill_value=fill, dtype=_pandas().SparseDtype(content.dtype, fill)
    )


def _pack_plain_column(value: Any) -> Packed:
    return Packed(None, [value.to_numpy()], [""])


def _unpack_plain_column(head: None, parts: list[Any]) -> object:
    return _pandas().arrays.NumpyExtensionArray(*parts)


# Scalars


def _pack_moment(value: Any) -> Packed:
    number = int(value.to_datetime64().astype("int64"))
    return Packed(
        [str(value.unit), _pack_zone(value.tzinfo)], [number, _part_of_zone(value.tzinfo)], ["", ".tz"]
    )


def _unpack_moment(head: list[Any], parts: list[Any]) -> object:
    unit, name = head
    number, zone = parts
    _check(unit in _UNITS and type(number) is int)
    zone = _unpack_zone(name, zone)
    made = _pandas().Timestamp(_numpy().datetime64(number, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def _pack_span(value: Any) -> Packed:
    return Packed(str(value.unit), [int(value.to_timedelta64().astype("int64"))], [""])


def _unpack_span(head: str, parts: list[Any]) -> object:
    (number,) = parts
    _check(head in _UNITS and type(number) is int)
    return _pandas().Timedelta(_numpy().timedelta64(number, head))


def _pack_period(value: Any) -> Packed:
    return Packed(str(value.freqstr), [int(value.ordinal)], [""])


def _unpack_period(head: str, parts: list[Any]) -> object:
    (number,) = parts
    _check(type(head) is str and type(number) is int)
    return _pandas().Period(ordinal=number, freq=head)


def _pack_interval(value: Any) -> Packed:
    return Packed(str(value.closed), [value.left, value.right], [".left", ".right"])


def _unpack_interval(head: str, parts: list[Any]) -> object:
    return _pandas().Interval(*parts, closed=head)


KINDS: dict[str, Any] = {
    "pandas.DataFrame": (_pack_frame, _unpack_frame),
    "pandas.Series": (_pack_series, _unpack_series),
    **{f"pandas.{name}": (_pack_index, _unpack_index) for name in _INDEXES},
    "pandas.RangeIndex": (_pack_range, _unpack_range),
    "pandas.MultiIndex": (_pack_multi, _unpack_multi),
    "pandas.arrays.DatetimeArray": (_pack_times, _unpack_moments),
    "pandas.arrays.TimedeltaArray": (_pack_times, _unpack_spans),
    "pandas.arrays.PeriodArray": (_pack_periods, _unpack_periods),
    "pandas.Categorical": (_pack_category, _unpack_category),
    "pandas.arrays.IntervalArray": (_pack_intervals, _unpack_intervals),
    **{f"pandas.arrays.{name}": (_pack_masked, _unpack_masked(name)) for name in _MASKED},
    "pandas.StringArray": (_pack_texts, _unpack_texts),
    "pandas.arrays.SparseArray": (_pack_sparse, _unpack_sparse),
    "pandas.arrays.NumpyExtensionArray": (_pack_plain_column, _unpack_plain_column),
    "pandas.Timestamp": (_pack_moment, _unpack_moment),
    "pandas.Timedelta": (_pack_span, _unpack_span),
    "pandas.Period": (_pack_period, _unpack_period),
    "pandas.Interval": (_pack_interval, _unpack_interval),
    "pandas.NaT": (lambda value: Packed(None, [], []), lambda head, parts: _pandas().NaT),
    "pandas.NA": (lambda value: Packed(None, [], []), lambda head, parts: _pandas().NA),
}
"""By name, how each kind is packed and unpacked."""


def _names(parts: Sequence[Any]) -> list[object]:
    return [parts[0]]


def _names_and_labels(parts: Sequence[Any]) -> list[object]:
    name, content = parts
    return [name, *(_numpy().asarray(content, dtype=object).tolist() if content.dtype == object else ())]


HASHED: dict[str, Callable[[Sequence[Any]], list[object]]] = {
    "pandas.Series": _names,
    "pandas.RangeIndex": _names,
    "pandas.MultiIndex": _names,
    **{f"pandas.{name}": _names_and_labels for name in _INDEXES},
}
"""Of kinds that hash some of what they are made of: which parts."""

KEYS = frozenset(f"pandas.{name}" for name in ("Timestamp", "Timedelta", "Period", "NaT", "NA"))
"""The kinds that may be dict keys: an interval hashes its ends, which may be anybody's."""
