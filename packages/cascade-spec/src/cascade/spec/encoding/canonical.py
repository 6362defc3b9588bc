"""Canonical digests of values: equal for equal data of equal types, different for anything else.

A digest is a sha256 over typed, length-prefixed content; the digest of a container covers its members. `1`, `True` and
`1.0` differ, the order of a set does not matter, the order of a dict does. It is the same in every process.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import hashlib
import pathlib
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from cascade.spec.calls.error_text import error_text
from cascade.spec.encoding import encoders
from cascade.spec.errors import SpecError, UncacheableError
from cascade.spec.inputs.files import File
from cascade.spec.resource import Inject
from cascade.spec.source.references import find_loaded, reference_of

T = TypeVar("T")

Leaf: TypeAlias = Callable[[Any], bytes]
"""Returns the bytes that stand for a value of one type."""


def register_encoder(kind: type[T], encode: Callable[[T], object]) -> None:
    """Register what stands for a value of exactly the type `kind` in cache keys.

    `encode` returns bytes, or any value that itself has a canonical form. Two values that a task may treat differently
    must get different results, and the results must be the same in every process. Registering a type again replaces
    its encoder.

    Raises:
        SpecError: If `kind` is no type, or one that has a form of its own.
    """
    if not isinstance(kind, type):
        raise SpecError(f"register_encoder({kind!r}, ...)", "give a type")
    if kind in _LEAVES or kind in _CONTAINERS:
        raise SpecError(f"register_encoder({kind.__name__}, ...)", "that type has a form of its own")
    _registered[kind] = encode


_registered: dict[type, encoders.Encoder] = {}


def digest(value: object, *, also: Mapping[type, Leaf] | None = None) -> bytes:
    """Return the sha256 of a value, 32 bytes; `also` has functions that give the bytes of values of more types.

    Takes O(size), also for values that are shared or deeply nested.

    Raises:
        UncacheableError: If a part of it has no canonical form, or contains itself.
    """
    # Once per argument of every call with a cache: watched by observatory/benchmarks/bench_durability.py.
    kind = type(value)
    leaves = _FRAMED if also is None else {**_FRAMED, **{each: _framing(each, also[each]) for each in also}}
    leaf = leaves.get(kind)
    if leaf is not None:
        return hashlib.sha256(leaf(value)).digest()
    parts = _CONTAINERS.get(kind)
    if parts is not None and leaves.keys() >= set(map(type, parts(value))):
        members = [leaves[type(part)](part) for part in parts(value)]
        if kind in _UNORDERED:
            members.sort()
        return _sha(_of_container(kind.__name__, members))
    return _nested(value, leaves)


def _nested(value: object, leaves: Mapping[type, Leaf]) -> bytes:
    """Return the digest of a value with parts that are no leaves; `leaves` give framed bytes."""
    top: list[bytes] = []
    path = [_Open(0, "", iter((value,)), top, sort=False)]
    inside: set[int] = set()
    known: dict[int, bytes] = {}
    kept: list[object] = []  # parts made on the way stay alive, so that their ids stay theirs
    while path:
        level = path[-1]
        for part in level.rest:
            leaf = leaves.get(type(part))
            if leaf is not None:
                level.members.append(leaf(part))
            elif id(part) in known:
                level.members.append(known[id(part)])
            elif id(part) in inside:
                raise UncacheableError(f"{type(part).__name__} that contains itself")
            else:
                kept.append(part)
                inside.add(id(part))
                path.append(_open(part))
                break
        else:
            path.pop()
            if path:
                inside.discard(level.key)
                members = sorted(level.members) if level.sort else level.members
                known[level.key] = _of_container(level.tag, members)
                path[-1].members.append(known[level.key])
    return _sha(*top)


def text_head(length: int) -> bytes:
    """Return what is hashed before the UTF-8 of a text of so many bytes, to make the digest of that."""
    return _head(str.__name__) + length.to_bytes(8, "big")


_DIGEST = b"\x00"  # before the digest of a container; a framed leaf begins with the length of its tag


def _sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def _of_container(tag: str, members: list[bytes]) -> bytes:
    """Return what stands for a container in the digest of what it is in."""
    return _DIGEST + _sha(_head(tag), _NO_BYTES, *members)


_NO_BYTES = bytes(8)
"""The length of nothing, as it stands before the content of a leaf."""


def _head(tag: str) -> bytes:
    """Return the name of a type with its length."""
    name = tag.encode("utf-8", "surrogatepass")
    if len(name) > _LONGEST_TAG:
        name = hashlib.sha256(name).digest()
    return b"%c%b" % (len(name), name)


def _framing(kind: type, leaf: Leaf) -> Leaf:
    """Return what gives the bytes of a leaf with the name of its type and its length before it."""
    head = _head(kind.__name__)
    short = [head + length.to_bytes(8, "big") for length in range(_SHORT)]  # made once: most content is short

    def framed(value: object) -> bytes:
        content = leaf(value)
        length = len(content)
        return (short[length] if length < _SHORT else head + length.to_bytes(8, "big")) + content

    return framed


_SHORT = 64


_LONGEST_TAG = 255


class _Open(NamedTuple):
    """A container that the digest is inside of."""

    key: int
    tag: str
    rest: Iterator[object]
    members: list[bytes]
    sort: bool


def _open(value: object) -> _Open:
    kind = type(value)
    tag, parts = kind.__name__, _CONTAINERS.get(kind)
    if parts is not None:
        return _Open(id(value), tag, iter(parts(value)), [], sort=kind in _UNORDERED)
    name = ".".join(reference_of(kind))
    encode = _registered.get(kind) or encoders.find(kind)
    if encode is not None:
        return _Open(id(value), name, iter((_encoded(encode, value, name),)), [], sort=False)
    if not _is_found(kind):
        raise UncacheableError(name)
    if isinstance(value, enum.Enum):
        return _Open(id(value), name, iter((value.name, value.value)), [], sort=False)
    if "__dataclass_fields__" in vars(kind):
        return _Open(id(value), name, iter(_fields(value, name)), [], sort=False)
    fields = encoders.fields_of(value)
    if fields is not None and not isinstance(value, _HOLDERS):
        return _Open(id(value), name, iter(fields), [], sort=False)
    if isinstance(value, tuple) and hasattr(kind, "_fields") and not getattr(value, "__dict__", None):
        return _Open(id(value), name, tuple.__iter__(value), [], sort=False)
    raise UncacheableError(name)


def _is_found(kind: type) -> bool:
    """Return whether a class is found under its own name; otherwise the name may be that of another class."""
    return find_loaded(kind.__module__, kind.__qualname__) is kind


def _encoded(encode: encoders.Encoder, value: object, name: str) -> object:
    try:
        return encode(value)
    except UncacheableError:
        raise
    except Exception as problem:
        raise UncacheableError(f"{name}, whose encoder raised {error_text(problem)},") from problem


def _fields(value: Any, name: str) -> Iterable[object]:
    """Return the fields of a dataclass by name; one that holds more than its fields has no form."""
    names = [each.name for each in dataclasses.fields(value)]
    others = getattr(value, "__dict__", {}).keys() - set(names)
    cached = all(isinstance(getattr(type(value), each, None), functools.cached_property) for each in others)
    if isinstance(value, _HOLDERS) or not cached:
        raise UncacheableError(f"{name} that holds more than its fields")
    try:
        return [part for each in names for part in (each, getattr(value, each))]
    except AttributeError:
        raise UncacheableError(f"{name} with a field that is not set") from None


def _float(value: float) -> bytes:
    return _NAN if value != value else struct.pack(">d", value)


_NAN = struct.pack(">Q", 0x7FF8000000000000)  # there are many; all count as equal


def _time(value: datetime.datetime | datetime.time) -> bytes:
    zone = value.tzinfo
    if zone is None or type(zone) is datetime.timezone:
        zone_name = repr(zone)
    else:
        kind, key = type(zone), getattr(zone, "key", None)
        if kind.__module__ not in ("zoneinfo", "backports.zoneinfo") or not key:
            raise UncacheableError(
                f"{type(value).__name__} with a zone of {kind.__module__}.{kind.__qualname__}"
            )
        zone_name = f"zone {key}"
    return f"{value.replace(tzinfo=None).isoformat()} {value.fold} {zone_name}".encode()


def _path(value: pathlib.PurePath) -> bytes:
    return str(value).encode("utf-8", "surrogatepass")


_LEAVES: dict[type, Leaf] = {
    type(None): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True),
    float: _float,
    complex: lambda value: _float(value.real) + _float(value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
    decimal.Decimal: lambda value: str(value).encode(),
    fractions.Fraction: lambda value: str(value).encode(),
    datetime.datetime: _time,
    datetime.time: _time,
    datetime.date: lambda value: value.isoformat().encode(),
    datetime.timedelta: lambda value: repr(value).encode(),
    uuid.UUID: lambda value: value.bytes,
    range: lambda value: repr(value).encode(),
    Inject: lambda value: value.name.encode(),
    File: File.digest,
    pathlib.PurePosixPath: _path,
    pathlib.PureWindowsPath: _path,
    pathlib.PosixPath: _path,
    pathlib.WindowsPath: _path,
}

_FRAMED: dict[type, Leaf] = {kind: _framing(kind, leaf) for kind, leaf in _LEAVES.items()}

_CONTAINERS: dict[type, Callable[[Any], Iterable[object]]] = {
    list: lambda value: value,
    tuple: lambda value: value,
    set: lambda value: value,
    frozenset: lambda value: value,
    dict: lambda value: (part for item in value.items() for part in item),
}
_UNORDERED = (set, frozenset)
_HOLDERS = (str, bytes, bytearray, int, float, complex, list, tuple, set, frozenset, dict)
