"""Pandas' own kinds of columns as data: times, categories, intervals, numbers and text with missing values."""

from __future__ import annotations

import sys

from cascade.adapters.codec.library_types.packed import Packed, Packer, Unpacker
from cascade.adapters.codec.library_types.pandas_parts import (
    UNITS,
    are_counts,
    check,
    content_of,
    index_of,
    numpy,
    pack_zone,
    pandas,
    part_of_zone,
    unpack_zone,
)
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Foreign
from cascade.spec.errors import StoredReferenceError
from cascade.spec.source.references import find_loaded

_MASKED = ("IntegerArray", "FloatingArray", "BooleanArray")


def name_of_column_type(cls: type) -> str:
    """Return the stored name of a class of columns, whose own module is not public; empty for any other class."""
    name = str(cls.__qualname__)
    texts = ("StringArray", "ArrowStringArray")
    if name.startswith(texts) and issubclass(cls, pandas().api.extensions.ExtensionArray):
        return "pandas.StringArray"
    return f"pandas.arrays.{name}" if find_loaded("pandas.arrays", name) is cls else ""


def _pack_times(value: Foreign) -> Packed:
    zone = getattr(value.dtype, "tz", None)
    return Packed([str(value.unit), pack_zone(zone)], [value.asi8, part_of_zone(zone)], ["", ".tz"])


def _unpack_moments(head: list[Foreign], parts: list[Foreign]) -> object:
    unit, name = head
    numbers, zone = parts
    made = pandas().DatetimeIndex(_counts(numbers, "M", unit))
    zone = unpack_zone(name, zone)
    return (made if zone is None else made.tz_localize("UTC").tz_convert(zone)).array


def _unpack_spans(head: list[Foreign], parts: list[Foreign]) -> object:
    unit, _ = head
    return pandas().TimedeltaIndex(_counts(parts[0], "m", unit)).array


def _counts(numbers: Foreign, kind: str, unit: str) -> Foreign:
    check(are_counts(numbers) and unit in UNITS)
    return numbers.view(f"{kind}8[{unit}]")


def _pack_periods(value: Foreign) -> Packed:
    return Packed(str(value.freqstr), [value.asi8], [""])


def _unpack_periods(head: str, parts: list[Foreign]) -> object:
    (numbers,) = parts
    check(type(head) is str and are_counts(numbers))
    return pandas().PeriodIndex.from_ordinals(numbers, freq=head).array


def _pack_category(value: Foreign) -> Packed:
    return Packed(
        bool(value.ordered), [value.categories, numpy().asarray(value.codes)], [".categories", ".codes"]
    )


def _unpack_category(head: bool, parts: list[Foreign]) -> object:
    categories, codes = parts
    check(isinstance(categories, pandas().Index) and type(codes) is numpy().ndarray)
    return pandas().Categorical.from_codes(codes, categories=categories, ordered=bool(head))


def _pack_intervals(value: Foreign) -> Packed:
    return Packed(str(value.closed), [content_of(value.left), content_of(value.right)], [".left", ".right"])


def _unpack_intervals(head: str, parts: list[Foreign]) -> object:
    left, right = (index_of(None, each) for each in parts)
    return pandas().arrays.IntervalArray.from_arrays(left, right, closed=head)


def _pack_masked(value: Foreign) -> Packed:
    kind = value.dtype.numpy_dtype
    return Packed(
        None,
        [value.to_numpy(dtype=kind, na_value=kind.type(0)), numpy().asarray(value.isna())],
        ["", ".isna()"],
    )


def _unpack_masked(name: str) -> Foreign:
    def unpack(head: None, parts: list[Foreign]) -> object:
        values, missing = parts
        check(values.shape == missing.shape and values.ndim == 1)
        return getattr(pandas().arrays, name)(values, missing)

    return unpack


def _pack_texts(value: Foreign) -> Packed:
    kind = value.dtype
    missing = numpy().asarray(value.isna())
    texts = [
        None if absent else str(each) for each, absent in zip(value.tolist(), missing.tolist(), strict=True)
    ]
    return Packed([str(kind.storage), kind.na_value is not pandas().NA], [texts], [""])


def _unpack_texts(head: list[Foreign], parts: list[Foreign]) -> object:
    storage, is_nan = head
    (texts,) = parts
    check(type(texts) is list and all(each is None or type(each) is str for each in texts))
    if storage != "python" and storage not in sys.modules:
        raise StoredReferenceError(
            f"a column of {storage}", f"{storage} is not imported", f"import {storage} first"
        )
    kind = pandas().StringDtype(storage, na_value=float("nan") if is_nan else pandas().NA)
    return pandas().array(texts, dtype=kind)


def _pack_sparse(value: Foreign) -> Packed:
    kind = value.dtype
    if kind.subtype.hasobject:
        raise UnsupportedError("make it dense: its elements are objects")
    return Packed(None, [kind.fill_value, numpy().asarray(value.to_dense())], [".fill_value", ""])


def _unpack_sparse(head: None, parts: list[Foreign]) -> object:
    fill, content = parts
    check(type(content) is numpy().ndarray and content.ndim == 1 and not content.dtype.hasobject)
    return pandas().arrays.SparseArray(
        content, fill_value=fill, dtype=pandas().SparseDtype(content.dtype, fill)
    )


def _pack_plain_column(value: Foreign) -> Packed:
    return Packed(None, [value.to_numpy()], [""])


def _unpack_plain_column(head: None, parts: list[Foreign]) -> object:
    return pandas().arrays.NumpyExtensionArray(*parts)


TYPES: dict[str, tuple[Packer, Unpacker]] = {
    "pandas.arrays.DatetimeArray": (_pack_times, _unpack_moments),
    "pandas.arrays.TimedeltaArray": (_pack_times, _unpack_spans),
    "pandas.arrays.PeriodArray": (_pack_periods, _unpack_periods),
    "pandas.Categorical": (_pack_category, _unpack_category),
    "pandas.arrays.IntervalArray": (_pack_intervals, _unpack_intervals),
    **{f"pandas.arrays.{name}": (_pack_masked, _unpack_masked(name)) for name in _MASKED},
    "pandas.StringArray": (_pack_texts, _unpack_texts),
    "pandas.arrays.SparseArray": (_pack_sparse, _unpack_sparse),
    "pandas.arrays.NumpyExtensionArray": (_pack_plain_column, _unpack_plain_column),
}
"""By name, how values of each type are packed and unpacked."""
