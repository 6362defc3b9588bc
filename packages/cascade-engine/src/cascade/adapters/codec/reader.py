"""The reader runs a program, which makes a value.

It imports nothing, and runs no code of the user's but `DataType.decode`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from cascade.adapters.codec.data_type import DataType
from cascade.adapters.codec.decoding_steps import Step
from cascade.adapters.codec.hash_checks import check_hashed
from cascade.adapters.codec.leaves import LEAF_NAMED, PLAIN
from cascade.adapters.codec.library_types.registry import library_type_named, unpack
from cascade.adapters.codec.shapes.class_shapes import (
    DataclassShape,
    EnumShape,
    NamedTupleShape,
    Shapes,
    changed_fields,
    missing_member,
)
from cascade.adapters.codec.shapes.models import ModelShape, StructShape
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Decoded
from cascade.spec.errors import DamagedDataError, StoredReferenceError

_PUSH, _PUSH_ALL, _LEAF, _SAME = int(Step.PUSH), int(Step.PUSH_ALL), int(Step.LEAF), int(Step.SAME)
_MALFORMED = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, NotImplementedError)
"""What unpacking raises if the data is not what a writer makes."""


class Reader:
    """Runs one program on a stack. A program is not trusted: it may come from a store that others write to."""

    def __init__(self, shapes: Shapes, registered: Mapping[str, DataType]) -> None:
        self._shapes = shapes
        self._registered = registered
        self._types = frozenset(each.type for each in registered.values())
        self._stack: list[object] = []
        self._built: list[object] = []
        self._in_user_code = False

    def read(self, steps: Decoded) -> object:
        """Return the value.

        Raises:
            DamagedDataError: If the steps are no program.
            StoredReferenceError: If a class is not there, or is not what it was.
        """
        try:
            return self._read(steps)
        except (DamagedDataError, StoredReferenceError):
            raise
        except (*_MALFORMED, UnsupportedError) as problem:
            if self._in_user_code:
                raise
            raise DamagedDataError(f"it is not a program of this codec ({problem})") from problem

    def _read(self, steps: Decoded) -> object:
        # Once per part of every value that is more than plain.
        # Watched by observatory/benchmarks/bench_codec.py.
        stack, built, builders = self._stack, self._built, self._BUILDERS
        pairs = iter(steps)
        for step, operand in zip(pairs, pairs, strict=True):
            if step == _PUSH:
                stack.append(operand)
            elif step == _PUSH_ALL:
                stack.extend(operand)
            elif step == _LEAF:
                name, packed = operand
                stack.append(LEAF_NAMED[name].unpack(packed))
            elif step == _SAME:
                stack.append(built[operand])
            elif step in builders:
                made = builders[step](self, operand)
                built.append(made)
                stack.append(made)
            else:
                stack.append(self._MEMBERS[step](self, operand))
        (value,) = stack
        return value

    def _take(self, count: int) -> list[object]:
        """Take that many parts from the stack."""
        stack = self._stack
        if not 0 <= count <= len(stack):
            raise ValueError(f"{count} parts wanted, {len(stack)} there")
        first = len(stack) - count
        taken = stack[first:]
        del stack[first:]
        return taken

    def _check_hashed(self, values: list[object]) -> list[object]:
        if not PLAIN.issuperset(map(type, values)):
            check_hashed(values, self._shapes, self._types)
        return values

    def _tuple(self, count: int) -> object:
        return tuple(self._take(count))

    def _set(self, count: int) -> object:
        return set(self._check_hashed(self._take(count)))

    def _frozenset(self, count: int) -> object:
        return frozenset(self._check_hashed(self._take(count)))

    def _dict(self, count: int) -> object:
        parts = self._take(2 * count)
        return dict(zip(self._check_hashed(parts[::2]), parts[1::2], strict=True))

    def _bytearray(self, content: bytes) -> object:
        return bytearray(content)

    def _dataclass(self, operand: Decoded) -> object:
        module, qualname, names, given = operand
        shape = self._shapes.find(module, qualname, DataclassShape)
        if list(shape.names) != names:
            raise changed_fields(shape, names)
        if not set(given) <= set(names):
            raise ValueError("a field that is none")
        return shape.build(dict(zip(given, self._take(len(given)), strict=True)))

    def _model(self, operand: Decoded) -> object:
        module, qualname, names, set_, given = operand
        shape = self._shapes.find(module, qualname, ModelShape)
        if list(shape.names) != names:
            raise changed_fields(shape, names)
        if not set(set_) <= set(names):
            raise ValueError("a field that is none")
        *values, extra, private = self._take(len(set_) + 2)
        return shape.build(dict(zip(set_, values, strict=True)), given, extra, private)

    def _struct(self, operand: Decoded) -> object:
        module, qualname, names = operand
        shape = self._shapes.find(module, qualname, StructShape)
        if list(shape.names) != names:
            raise changed_fields(shape, names)
        return shape.build(dict(zip(names, self._take(len(names)), strict=True)))

    def _library_value(self, operand: Decoded) -> object:
        name, head, count = operand
        library_type = library_type_named(name)
        parts = self._take(count)
        if library_type.hashed is not None:
            self._check_hashed(library_type.hashed(parts))
        return unpack(library_type, head, parts)

    def _namedtuple(self, operand: Decoded) -> object:
        module, qualname, names = operand
        shape = self._shapes.find(module, qualname, NamedTupleShape)
        if list(shape.names) != names:
            raise changed_fields(shape, names)
        return shape.build(self._take(len(names)))

    def _registered_value(self, name: str) -> object:
        registered = self._registered.get(name)
        (data,) = self._take(1)
        if registered is None:
            raise StoredReferenceError(
                f"the registered type {name!r}",
                "this codec has no type of that name",
                f"give the codec a DataType named {name!r}",
            )
        self._in_user_code = True
        made = registered.decode(data)
        self._in_user_code = False
        return made

    def _member(self, operand: Decoded) -> object:
        module, qualname, name = operand
        shape = self._shapes.find(module, qualname, EnumShape)
        if name not in shape.members:
            raise missing_member(shape, [name])
        return shape.members[name]

    def _flags(self, operand: Decoded) -> object:
        module, qualname, names, rest = operand
        shape = self._shapes.find(module, qualname, EnumShape)
        found = shape.combine(names, rest)
        if found is None:
            raise missing_member(shape, [*names, *([hex(rest)] if rest else [])])
        return found

    _BUILDERS: ClassVar[dict[int, Callable[[Reader, Decoded], object]]] = {
        Step.BUILD_LIST: _take,
        Step.BUILD_TUPLE: _tuple,
        Step.BUILD_SET: _set,
        Step.BUILD_FROZENSET: _frozenset,
        Step.BUILD_DICT: _dict,
        Step.BUILD_BYTEARRAY: _bytearray,
        Step.BUILD_DATACLASS: _dataclass,
        Step.BUILD_NAMEDTUPLE: _namedtuple,
        Step.BUILD_REGISTERED: _registered_value,
        Step.BUILD_LIBRARY_TYPE: _library_value,
        Step.BUILD_MODEL: _model,
        Step.BUILD_STRUCT: _struct,
    }
    _MEMBERS: ClassVar[dict[int, Callable[[Reader, Decoded], object]]] = {
        Step.MEMBER: _member,
        Step.FLAGS: _flags,
    }
