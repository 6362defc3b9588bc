"""Leaves: values without parts, of types that msgpack does not know or does not keep exactly.

A leaf is packed into plain data and unpacked by its type's name. Whole numbers beyond 64 bits and text with lone
surrogates are packed as bytes, wherever they stand.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import os
import pathlib
import uuid
import zoneinfo
from collections.abc import Callable
from typing import NamedTuple

from cascade.adapters.codec.untyped import Decoded, Foreign
from cascade.spec.errors import CodecError, FileUnreadableError, StoredReferenceError
from cascade.spec.inputs.files import File
from cascade.spec.source.references import name_of

_LEAST, _MOST = -(2**63), 2**64 - 1


class Leaf(NamedTuple):
    """How values of one type are packed and unpacked."""

    pack: Callable[[Foreign], object]
    unpack: Callable[[Decoded], object]


def pack_int(value: int) -> int | bytes:
    """Return the number itself if msgpack has room for it, else its bytes."""
    if _LEAST <= value <= _MOST:
        return value
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def unpack_int(packed: int | bytes) -> int:
    """Return the number."""
    return packed if type(packed) is int else int.from_bytes(_bytes(packed), "big", signed=True)


def pack_text(text: str) -> str | bytes:
    """Return the text itself, or bytes if it holds lone surrogates, which UTF-8 does not have."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def unpack_text(packed: str | bytes) -> str:
    """Return the text."""
    return packed if type(packed) is str else _bytes(packed).decode("utf-8", "surrogatepass")


def _bytes(packed: object) -> bytes:
    if type(packed) is not bytes:
        raise ValueError(f"{type(packed).__name__} in place of bytes")
    return packed


def _pack_zone(zone: datetime.tzinfo | None) -> object:
    if zone is None:
        return None
    if type(zone) is datetime.timezone:
        # The only public way to tell a zone that was given a name from one that makes its own of the offset.
        offset, *names = zone.__getinitargs__()  # type: ignore[attr-defined]  # what pickle asks for
        return [_pack_timedelta(offset), *map(pack_text, names)]
    if type(zone) is zoneinfo.ZoneInfo and zone.key is not None:
        return zone.key
    raise CodecError(
        name_of(type(zone)),
        "the time zone",
        "use datetime.timezone, or a zoneinfo.ZoneInfo with a key",
    )


def _unpack_zone(packed: Decoded) -> datetime.tzinfo | None:
    if packed is None:
        return None
    if type(packed) is str:
        try:
            return zoneinfo.ZoneInfo(packed)
        except (zoneinfo.ZoneInfoNotFoundError, OSError):
            raise StoredReferenceError(
                f"the time zone {packed!r}",
                "this system has no such zone",
                "install the tzdata package",
            ) from None
    offset, *names = packed
    return datetime.timezone(_unpack_timedelta(offset), *map(unpack_text, names))


def _pack_timedelta(value: datetime.timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


def _unpack_timedelta(packed: list[int]) -> datetime.timedelta:
    return datetime.timedelta(*packed)


def _pack_time(value: datetime.time) -> list[object]:
    return [
        value.hour,
        value.minute,
        value.second,
        value.microsecond,
        value.fold,
        _pack_zone(value.tzinfo),
    ]


def _unpack_time(packed: Decoded) -> datetime.time:
    hour, minute, second, microsecond, fold, zone = packed
    return datetime.time(hour, minute, second, microsecond, _unpack_zone(zone), fold=fold)


def _pack_datetime(value: datetime.datetime) -> list[object]:
    return [value.year, value.month, value.day, *_pack_time(value.timetz())]


def _unpack_datetime(packed: Decoded) -> datetime.datetime:
    year, month, day, hour, minute, second, microsecond, fold, zone = packed
    return datetime.datetime(
        year, month, day, hour, minute, second, microsecond, _unpack_zone(zone), fold=fold
    )


def _pack_uuid(value: uuid.UUID) -> list[object]:
    return [value.bytes, value.is_safe.value]


def _unpack_uuid(packed: Decoded) -> uuid.UUID:
    content, safe = packed
    return uuid.UUID(bytes=content, is_safe=uuid.SafeUUID(safe))


def _path(kind: type[pathlib.PurePath]) -> Leaf:
    return Leaf(lambda value: pack_text(str(value)), lambda packed: kind(unpack_text(packed)))


def _pack_file(file: File) -> list[object]:
    try:
        return [pack_text(os.fspath(file)), file.digest()]
    except FileUnreadableError as problem:
        raise CodecError("File", "the file", f"{problem}") from problem


def _unpack_file(packed: Decoded) -> File:
    """Return the file, if its content is still what it was: a `File` stands for its content."""
    name, digest = packed
    file = File(unpack_text(name))
    try:
        problem = "" if file.digest() == digest else "it holds something else by now"
    except FileUnreadableError as unreadable:
        problem = f"it can't be read: {unreadable.problem}"
    if problem:
        raise StoredReferenceError(f"the file {os.fspath(file)!r}", problem, "bring back what was there")
    return file


PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""The types that msgpack has itself; all but whole numbers beyond 64 bits and text with lone surrogates."""

LEAVES: dict[type, Leaf] = {
    int: Leaf(pack_int, unpack_int),
    str: Leaf(pack_text, unpack_text),
    complex: Leaf(lambda value: [value.real, value.imag], lambda packed: complex(*packed)),
    range: Leaf(
        lambda value: [pack_int(part) for part in (value.start, value.stop, value.step)],
        lambda packed: range(*map(unpack_int, packed)),
    ),
    decimal.Decimal: Leaf(str, decimal.Decimal),
    fractions.Fraction: Leaf(
        lambda value: [pack_int(value.numerator), pack_int(value.denominator)],
        lambda packed: fractions.Fraction(*map(unpack_int, packed)),
    ),
    datetime.date: Leaf(
        lambda value: [value.year, value.month, value.day], lambda packed: datetime.date(*packed)
    ),
    datetime.time: Leaf(_pack_time, _unpack_time),
    datetime.datetime: Leaf(_pack_datetime, _unpack_datetime),
    datetime.timedelta: Leaf(_pack_timedelta, _unpack_timedelta),
    datetime.timezone: Leaf(_pack_zone, _unpack_zone),
    zoneinfo.ZoneInfo: Leaf(_pack_zone, _unpack_zone),
    File: Leaf(_pack_file, _unpack_file),
    uuid.UUID: Leaf(_pack_uuid, _unpack_uuid),
    pathlib.PurePosixPath: _path(pathlib.PurePosixPath),
    pathlib.PureWindowsPath: _path(pathlib.PureWindowsPath),
    pathlib.PosixPath: _path(pathlib.PosixPath),
    pathlib.WindowsPath: _path(pathlib.WindowsPath),
}
"""How each type's values are packed; the name in the format is the type's own."""

LEAF_NAMED: dict[str, Leaf] = {kind.__name__: leaf for kind, leaf in LEAVES.items()}
