"""Canonical digests of values: equal for equal data of equal types, different for all else.

A digest is a sha256 over a type tag and length-prefixed content; that of a container covers its members' digests.
`1`, `True` and `1.0` differ, the order of a set does not matter, the order of a dict does.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import hashlib
import pathlib
import struct
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cascade.spec.errors import UncacheableError
from cascade.spec.resource import Inject

if TYPE_CHECKING:
    from cascade.spec.task import Task


def digest_call(task: Task[Any], version: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Return the key of a call, in hex: the task itself, a version and the arguments by parameter.

    Raises:
        UncacheableError: If an argument has no canonical form, or contains itself.
    """
    bound = task.signature.bind_partial(*args, **kwargs)
    bound.apply_defaults()
    arguments = tuple((name, _by_name(task, name, value)) for name, value in sorted(bound.arguments.items()))
    return digest((task.reference, task.serial, version, arguments)).hex()


def _by_name(task: Task[Any], name: str, value: Any) -> Any:
    """Return the value of an argument; the keyword arguments of `**kwargs` in an order of their own."""
    parameter = task.signature.parameters[name]
    return tuple(sorted(value.items())) if parameter.kind is parameter.VAR_KEYWORD else value


def digest(value: object) -> bytes:
    """Return the sha256 of a value.

    Takes O(size), also for values that are shared or deeply nested.

    Raises:
        UncacheableError: If a part of it has no canonical form, or contains itself.
    """
    top: list[bytes] = []
    path = [_Open(0, "", iter((value,)), top, sort=False)]
    inside: set[int] = set()
    known: dict[int, bytes] = {}
    kept: list[object] = []  # parts made on the way stay alive, so that their ids stay theirs
    while path:
        level = path[-1]
        for part in level.rest:
            leaf = _LEAVES.get(type(part))
            if leaf is not None:
                level.digests.append(_sha(type(part).__name__, [leaf(part)]))
            elif id(part) in known:
                level.digests.append(known[id(part)])
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
                members = sorted(level.digests) if level.sort else level.digests
                known[level.key] = _sha(level.tag, members)
                path[-1].digests.append(known[level.key])
    return top[0]


class _Open(NamedTuple):
    """A container that the digest is inside of."""

    key: int
    tag: str
    rest: Iterator[object]
    digests: list[bytes]
    sort: bool


def _open(value: Any) -> _Open:
    kind = type(value)
    if kind in (list, tuple):
        return _Open(id(value), kind.__name__, iter(value), [], sort=False)
    if kind in (set, frozenset):
        return _Open(id(value), kind.__name__, iter(value), [], sort=True)
    if kind is dict:
        return _Open(id(value), "dict", (part for item in value.items() for part in item), [], sort=False)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(value, enum.Enum):
        return _Open(id(value), name, iter((value.name,)), [], sort=False)
    if isinstance(value, pathlib.PurePath):
        return _Open(id(value), name, iter((str(value),)), [], sort=False)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
        return _Open(id(value), name, (part for item in parts for part in item), [], sort=False)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _Open(id(value), name, iter(value), [], sort=False)
    raise UncacheableError(name)


def _sha(tag: str, members: Iterable[bytes]) -> bytes:
    hashed = hashlib.sha256()
    for part in (tag.encode(), *members):
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.digest()


def _float(value: float) -> bytes:
    return b"nan" if value != value else struct.pack(">d", value)


def _datetime(value: datetime.datetime | datetime.time) -> bytes:
    return f"{value.isoformat()} {value.fold} {value.tzinfo}".encode()


_LEAVES: dict[type, Callable[[Any], bytes]] = {
    type(None): lambda _: b"",
    bool: lambda value: b"1" if value else b"0",
    int: lambda value: value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True),
    float: _float,
    complex: lambda value: _float(value.real) + b" " + _float(value.imag),
    str: lambda value: value.encode("utf-8", "surrogatepass"),
    bytes: lambda value: value,
    bytearray: bytes,
    decimal.Decimal: lambda value: str(value).encode(),
    fractions.Fraction: lambda value: str(value).encode(),
    datetime.datetime: _datetime,
    datetime.time: _datetime,
    datetime.date: lambda value: value.isoformat().encode(),
    datetime.timedelta: lambda value: repr(value).encode(),
    uuid.UUID: lambda value: value.bytes,
    range: lambda value: repr(value).encode(),
    Inject: lambda value: value.name.encode(),
}
