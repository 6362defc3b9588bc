"""Pandas' indexes as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cascade.adapters.codec.library_types.packed import Packed, Packer, Unpacker
from cascade.adapters.codec.library_types.pandas_parts import check, content_of, index_of, numpy, pandas
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Foreign

_INDEXES = ("Index", "DatetimeIndex", "TimedeltaIndex", "PeriodIndex", "CategoricalIndex", "IntervalIndex")


def _unpack_index(head: str | None, parts: list[Foreign]) -> object:
    made = index_of(*parts)
    if head is not None:
        check(type(head) is str)
        made.freq = head
    return made


def _pack_index(value: Foreign) -> Packed:
    return Packed(_frequency(value), [value.name, content_of(value)], [".name", ""])


def _frequency(index: Foreign) -> str | None:
    """Return the step of an index of times as text.

    Raises:
        UnsupportedError: If the text does not say all of it.
    """
    step = (
        getattr(index, "freq", None)
        if isinstance(index, (pandas().DatetimeIndex, pandas().TimedeltaIndex))
        else None
    )
    if step is None:
        return None
    text = str(step.freqstr)
    try:
        found = pandas().tseries.frequencies.to_offset(text)
    except ValueError:
        found = None
    if found != step:
        raise UnsupportedError("give its freq a name that pandas knows, or set it to None")
    return text


def _pack_range(value: Foreign) -> Packed:
    return Packed([int(value.start), int(value.stop), int(value.step)], [value.name], [".name"])


def _unpack_range(head: list[int], parts: list[Foreign]) -> object:
    (name,) = parts
    return pandas().RangeIndex(*head, name=name)


def _pack_multi(value: Foreign) -> Packed:
    codes = [numpy().asarray(each) for each in value.codes]
    names = [f".levels[{number}]" for number in range(value.nlevels)]
    return Packed(
        value.nlevels,
        [tuple(value.names), *value.levels, *codes],
        [".names", *names, *(".codes" for _ in codes)],
    )


def _unpack_multi(head: int, parts: list[Foreign]) -> object:
    names, *rest = parts
    check(len(rest) == 2 * head and all(type(each) is numpy().ndarray for each in rest[head:]))
    return pandas().MultiIndex(levels=rest[:head], codes=rest[head:], names=names)


def _names(parts: Sequence[Foreign]) -> list[object]:
    return [parts[0]]


def _names_and_labels(parts: Sequence[Foreign]) -> list[object]:
    name, content = parts
    return [name, *(numpy().asarray(content, dtype=object).tolist() if content.dtype == object else ())]


TYPES: dict[str, tuple[Packer, Unpacker]] = {
    **{f"pandas.{name}": (_pack_index, _unpack_index) for name in _INDEXES},
    "pandas.RangeIndex": (_pack_range, _unpack_range),
    "pandas.MultiIndex": (_pack_multi, _unpack_multi),
}
"""By name, how values of each type are packed and unpacked."""

HASHED: dict[str, Callable[[Sequence[Foreign]], list[object]]] = {
    "pandas.Series": _names,
    "pandas.RangeIndex": _names,
    "pandas.MultiIndex": _names,
    **{f"pandas.{name}": _names_and_labels for name in _INDEXES},
}
"""Which parts pandas hashes when it makes a value: the names, and the labels if they are objects."""
