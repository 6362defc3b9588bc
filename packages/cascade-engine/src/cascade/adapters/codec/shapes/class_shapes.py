"""Classes of the user's as data: enums, dataclasses, classes of attrs, models and named tuples.

No code of the class runs: not its `__new__`, `__init__`, `__post_init__` or `__setattr__`, no property, and nothing of
its metaclass. Its fields are read from the dictionaries of the class, and values are read and set through Python's own
descriptors. A class is found by its module and qualified name, among modules that are imported already.
"""

from __future__ import annotations

import dataclasses
import enum
import sys
from types import FunctionType, GetSetDescriptorType, SimpleNamespace, WrapperDescriptorType
from typing import TypeAlias, TypeVar

from cascade.adapters.codec.shapes.instances import CACHED_HASH, Layout, dictionary_of, layout_of, make_bare
from cascade.adapters.codec.shapes.models import ModelShape, StructShape, model_shape, struct_shape
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Foreign
from cascade.spec.calls.missing import MISSING
from cascade.spec.errors import StoredReferenceError
from cascade.spec.late_dataclasses import SOURCE, Late, dataclass
from cascade.spec.source.references import (
    class_attribute,
    class_order,
    find_loaded,
    is_class,
    own_attribute,
    reference_of,
)


@dataclass(frozen=True, slots=True)
class EnumShape:
    """An enum: its members by name, aliases among them."""

    cls: type
    members: dict[str, Foreign]

    KIND = "enum"

    def names(self, member: object) -> tuple[list[str], int] | str:
        """Return the member's name; for a combination of flags the names of its members and the bits without one.

        Raises:
            UnsupportedError: If a combination can't be made again without running code of the class.
        """
        name = object.__getattribute__(member, "_name_")
        if self.members.get(name) is member:
            return str(name)
        rest = object.__getattribute__(member, "_value_")
        if type(rest) is not int or rest < 0 or not self._combines():
            raise UnsupportedError("store its value in its place, or register the type with DataType")
        names = []
        for name, each in self.members.items():
            bit = each._value_
            if type(bit) is int and bit.bit_count() == 1 and bit & rest:
                names.append(name)
                rest &= ~bit
        return names, rest

    def combine(self, names: list[str], rest: int) -> object:
        """Return the combination of flags; `None` if a name or a bit is unknown."""
        if not self._combines() or not all(name in self.members for name in names):
            return None
        value = rest
        for name in names:
            value |= self.members[name]._value_
        try:
            return enum.EnumType.__call__(self.cls, value)
        except ValueError:
            return None

    def _combines(self) -> bool:
        """Tell whether Python's own code combines the flags."""
        return (
            type(self.cls) is enum.EnumType
            and issubclass(self.cls, enum.Flag)
            and class_attribute(self.cls, "_missing_") is enum.Flag.__dict__["_missing_"]
            and own_attribute(self.cls, "_member_type_") in (object, int)
        )


@dataclass(frozen=True, slots=True)
class DataclassShape:
    """A dataclass or a class of attrs: its fields, and where their values are."""

    cls: type
    names: tuple[str, ...]
    layout: Layout
    caches_hash: bool

    KIND = "dataclass"

    def read(self, value: object) -> dict[str, object]:
        """Return the values of the fields that are set.

        Raises:
            UnsupportedError: If the instance holds more than its fields.
        """
        return self.layout.read(value, self.names)

    def build(self, values: dict[str, object]) -> object:
        """Return an instance with these values in its fields."""
        made = make_bare(self.cls)
        self.layout.fill(made, values)
        if self.caches_hash:
            object.__setattr__(made, CACHED_HASH, None)
        return made


@dataclass(frozen=True, slots=True)
class NamedTupleShape:
    """A named tuple: its fields in order."""

    cls: type
    names: tuple[str, ...]
    dictionary: GetSetDescriptorType | None

    KIND = "named tuple"

    def read(self, value: Foreign) -> tuple[object, ...]:
        """Return the values.

        Raises:
            UnsupportedError: If the instance holds more than its fields.
        """
        if self.dictionary is not None and self.dictionary.__get__(value):
            raise UnsupportedError(
                "give it no attributes beyond its fields, or register the type with DataType"
            )
        return tuple(tuple.__iter__(value))

    def build(self, values: list[object]) -> object:
        """Return an instance with these values."""
        return tuple.__new__(self.cls, values)


Shape: TypeAlias = EnumShape | DataclassShape | NamedTupleShape | ModelShape | StructShape
_Shape = TypeVar("_Shape", EnumShape, DataclassShape, NamedTupleShape, ModelShape, StructShape)


class Shapes:
    """The shapes of the classes that a codec has seen. A class is looked up each time, so that a reload is noticed."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Shape] = {}  # classes of modules only: no more than there are

    def of(self, cls: type) -> tuple[str, str, Shape]:
        """Return where a class is found, and its shape.

        Raises:
            UnsupportedError: If it is no such class, or is not found by its name.
        """
        module, qualname = reference_of(cls)
        known = self._known.get((module, qualname))
        if known is None or known.cls is not cls:
            known = _shape(cls)
        if find_loaded(module, qualname) is not cls:
            raise UnsupportedError(
                "define the class at the top of a module, under its own name, or register it with DataType"
            )
        self._known[module, qualname] = known
        return module, qualname, known

    def find(self, module: str, qualname: str, kind: type[_Shape]) -> _Shape:
        """Return the shape of a class that stored data names.

        Raises:
            StoredReferenceError: If it is not there, or of another kind.
        """
        found = find_loaded(module, qualname)
        known: Shape | None = self._known.get((module, qualname))
        if known is None or known.cls is not found:
            known = self._looked_at(module, qualname, found)
        if not isinstance(known, kind):
            raise _changed(module, qualname, f"it is no longer a {kind.KIND}")
        return known

    def _looked_at(self, module: str, qualname: str, found: Foreign) -> Shape:
        if found is MISSING:
            raise missing_reference(module, qualname)
        try:
            shape = _shape(found) if is_class(found) else None
        except UnsupportedError:
            shape = None
        if shape is None:
            raise _changed(module, qualname, "it is no longer a class whose values are data")
        self._known[module, qualname] = shape
        return shape


def missing_reference(module: str, qualname: str) -> StoredReferenceError:
    """Return the error for a name that stored data has and this process has not."""
    if module not in sys.modules:
        return StoredReferenceError(
            f"{module}.{qualname}", f"the module {module} is not imported", f"import {module} first"
        )
    return _changed(module, qualname, "the module has no such name")


def _changed(module: str, qualname: str, problem: str) -> StoredReferenceError:
    return StoredReferenceError(
        f"{module}.{qualname}", problem, "bring back what the data was made with, or delete the data"
    )


def changed_fields(shape: Shape, stored: list[str]) -> StoredReferenceError:
    """Return the error for a class that has other fields than when the data was made."""
    now = [] if isinstance(shape, EnumShape) else list(shape.names)
    change = f"its fields were {', '.join(stored) or 'none'} and are {', '.join(now) or 'none'}"
    return _changed(*reference_of(shape.cls), change)


def missing_member(shape: EnumShape, names: list[str]) -> StoredReferenceError:
    """Return the error for an enum that has no such members any more."""
    return _changed(*reference_of(shape.cls), f"it has no member {' | '.join(names)} any more")


def hash_is_pythons_own(cls: type) -> bool:
    """Tell whether hashing and comparing instances runs no code of the class: only what Python made for it."""
    methods = [class_attribute(cls, name) for name in ("__hash__", "__eq__", "__getattribute__")]
    return class_attribute(cls, "__getattr__") is MISSING and all(map(_is_pythons_own, methods))


def _is_pythons_own(method: object) -> bool:
    if type(method) is FunctionType:
        # The methods that `@dataclass` and attrs write come from no file.
        file = method.__code__.co_filename
        return (
            method is enum.Enum.__hash__
            or file in {"<string>", SOURCE}
            or file.startswith("<attrs generated ")
        )
    return type(method) is WrapperDescriptorType


def _shape(cls: type) -> Shape:
    if class_attribute(cls, "__del__") is not MISSING:
        raise UnsupportedError("register the type with DataType: data can't bring back a class with __del__")
    if issubclass(cls, enum.Enum):
        return EnumShape(cls, own_attribute(cls, "_member_map_"))
    names = _fields_of(cls)
    if names is not None:
        make_bare(cls)
        return DataclassShape(cls, names, layout_of(cls, names), _caches_hash(cls))
    shape = model_shape(cls) or struct_shape(cls)
    if shape is not None:
        return shape
    if issubclass(cls, tuple):
        for each in class_order(cls):
            names = own_attribute(each, "_fields")
            if type(names) is tuple and own_attribute(each, "_make") is not MISSING:
                return NamedTupleShape(cls, names, dictionary_of(cls))
    raise UnsupportedError("pass plain data, a dataclass or an enum, or register the type with DataType")


def _fields_of(cls: type) -> tuple[str, ...] | None:
    """Return the names of the fields of a dataclass or a class of attrs; `None` of another class."""
    described = own_attribute(cls, "__dataclass_fields__")
    if type(described) is Late:
        described = described.made()
    if type(described) is dict:
        # `fields` asks its argument for this one attribute; a class might answer through its metaclass.
        declared: Foreign = SimpleNamespace(__dataclass_fields__=described)
        return tuple(each.name for each in dataclasses.fields(declared))
    described = own_attribute(cls, "__attrs_attrs__")
    return tuple(each.name for each in described) if isinstance(described, tuple) else None


def _caches_hash(cls: type) -> bool:
    method = class_attribute(cls, "__hash__")
    return type(method) is FunctionType and CACHED_HASH in method.__code__.co_names
