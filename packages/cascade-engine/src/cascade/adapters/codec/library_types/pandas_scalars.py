"""Pandas' scalars as data: moments, spans of time, periods, intervals, and what stands for a missing value."""

from __future__ import annotations

from cascade.adapters.codec.library_types.packed import Packed, Packer, Unpacker
from cascade.adapters.codec.library_types.pandas_parts import (
    UNITS,
    check,
    numpy,
    pack_zone,
    pandas,
    part_of_zone,
    unpack_zone,
)
from cascade.adapters.codec.untyped import Foreign


def name_of_missing(cls: type) -> str:
    """Return the stored name of the class of `pandas.NaT` or `pandas.NA`; empty for any other class."""
    return {type(pandas().NaT): "pandas.NaT", type(pandas().NA): "pandas.NA"}.get(cls, "")


def _pack_moment(value: Foreign) -> Packed:
    number = int(value.to_datetime64().astype("int64"))
    return Packed(
        [str(value.unit), pack_zone(value.tzinfo)], [number, part_of_zone(value.tzinfo)], ["", ".tz"]
    )


def _unpack_moment(head: list[Foreign], parts: list[Foreign]) -> object:
    unit, name = head
    number, zone = parts
    check(unit in UNITS and type(number) is int)
    zone = unpack_zone(name, zone)
    made = pandas().Timestamp(numpy().datetime64(number, unit))
    return made if zone is None else made.tz_localize("UTC").tz_convert(zone)


def _pack_span(value: Foreign) -> Packed:
    return Packed(str(value.unit), [int(value.to_timedelta64().astype("int64"))], [""])


def _unpack_span(head: str, parts: list[Foreign]) -> object:
    (number,) = parts
    check(head in UNITS and type(number) is int)
    return pandas().Timedelta(numpy().timedelta64(number, head))


def _pack_period(value: Foreign) -> Packed:
    return Packed(str(value.freqstr), [int(value.ordinal)], [""])


def _unpack_period(head: str, parts: list[Foreign]) -> object:
    (number,) = parts
    check(type(head) is str and type(number) is int)
    return pandas().Period(ordinal=number, freq=head)


def _pack_interval(value: Foreign) -> Packed:
    return Packed(str(value.closed), [value.left, value.right], [".left", ".right"])


def _unpack_interval(head: str, parts: list[Foreign]) -> object:
    return pandas().Interval(*parts, closed=head)


def _pack_missing(value: Foreign) -> Packed:
    return Packed(None, [], [])


TYPES: dict[str, tuple[Packer, Unpacker]] = {
    "pandas.Timestamp": (_pack_moment, _unpack_moment),
    "pandas.Timedelta": (_pack_span, _unpack_span),
    "pandas.Period": (_pack_period, _unpack_period),
    "pandas.Interval": (_pack_interval, _unpack_interval),
    "pandas.NaT": (_pack_missing, lambda head, parts: pandas().NaT),
    "pandas.NA": (_pack_missing, lambda head, parts: pandas().NA),
}
"""By name, how values of each type are packed and unpacked."""

KEYS = frozenset(f"pandas.{name}" for name in ("Timestamp", "Timedelta", "Period", "NaT", "NA"))
"""The types whose values may be dict keys. An interval hashes its ends, which may be anybody's."""
