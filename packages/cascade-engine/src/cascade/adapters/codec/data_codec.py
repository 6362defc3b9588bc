"""The default codec. It stores data, and no code."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import msgspec

from cascade.adapters.codec.data_type import DataType
from cascade.adapters.codec.envelope import seal, unseal
from cascade.adapters.codec.leaves import LEAVES
from cascade.adapters.codec.plain_data import is_plain
from cascade.adapters.codec.reader import Reader
from cascade.adapters.codec.shapes.class_shapes import Shapes
from cascade.adapters.codec.writer import Writer
from cascade.spec.errors import CodecError, DamagedDataError, SpecError
from cascade.spec.source.references import name_of

VERSION = 2
"""The format that this release writes; it reads this one and all before it."""

_PLAIN, _PROGRAM = b"\x00", b"\x01"


class DataCodec:
    """Stores data and no code: loading imports nothing, and runs no code of the user's but `DataType.decode`.

    Knows `None`, `bool`, `int` of any size, `float`, `complex`, `str`, `bytes`, `bytearray`, `list`, `tuple`, `dict`,
    `set`, `frozenset`, `range`, dates, times, time spans and time zones, `Decimal`, `Fraction`, `UUID`, paths,
    `Counter`, `OrderedDict`, `defaultdict` and `deque`, members of enums and combinations of flags, dataclasses, named
    tuples, classes of attrs, models of pydantic, structs of msgspec, arrays and scalars of NumPy, frames, series,
    indexes, columns and scalars of pandas, and the `types` that it is given. A value of a subclass is refused. A value
    comes back equal and of the same type, and a container that was in several places is one container again. Values of
    any depth are written and read without recursion.

    Classes are stored by module and qualified name, and found among modules that are imported already. They are put
    together without their `__new__`, `__init__`, `__post_init__` and validators.

    Raises:
        SpecError: If two of the types have the same name or type, or one is a type that the codec knows itself.
    """

    def __init__(self, types: Iterable[DataType] = ()) -> None:
        self._by_type: dict[type, DataType] = {}
        self._by_name: dict[str, DataType] = {}
        for each in types:
            if each.type in LEAVES or each.type in _BUILT_IN:
                raise SpecError(
                    f"DataType for {each.type.__name__}, which a DataCodec knows itself", "leave it out"
                )
            if each.type in self._by_type or each.name in self._by_name:
                raise SpecError(
                    f"two DataTypes named {each.name!r} or for {each.type.__name__}",
                    "give each type once, with a name of its own",
                )
            self._by_type[each.type] = self._by_name[each.name] = each
        self._shapes = Shapes()

    def encode(self, value: object, *, key: bytes) -> bytes:
        """Return the bytes of `value` under `key`. Takes O(size).

        Raises:
            CodecError: If a part is of a type that the codec does not know, or contains itself.
        """
        if is_plain(value):
            try:
                return seal(VERSION, _PLAIN + msgspec.msgpack.encode(value), key)
            except (OverflowError, UnicodeEncodeError, RecursionError):
                pass  # not so plain: a number beyond 64 bits, lone surrogates, or hardly any stack left
        steps = Writer(self._shapes, self._by_type).write(value)
        try:
            return seal(VERSION, _PROGRAM + msgspec.msgpack.encode(steps), key)
        except ValueError as problem:
            remedy = f"split it: a part may have up to 4 GiB ({problem})"
            raise CodecError(name_of(type(value)), "a part of the value", remedy) from problem

    def decode(self, data: bytes, *, key: bytes) -> object:
        """Return the value of bytes that `encode` made under this key.

        Raises:
            DamagedDataError: If these are not such bytes.
            DataVersionError: If a later release wrote them.
            StoredReferenceError: If a class is not there, or is not what it was.
        """
        payload = unseal(VERSION, data, key)
        form = bytes(payload[:1])
        if form not in (_PLAIN, _PROGRAM):
            raise DamagedDataError("it is of no form that this codec writes")
        try:
            content = msgspec.msgpack.decode(payload[1:])
        except (ValueError, RecursionError) as problem:  # msgspec's own errors are among them
            raise DamagedDataError(f"it is not msgpack ({problem})") from problem
        return content if form == _PLAIN else Reader(self._shapes, self._by_name).read(content)


_BUILT_IN = frozenset({type(None), bool, float, bytes, bytearray, list, tuple, dict, set, frozenset, Enum})
