"""User classes as data: enums, dataclasses and named tuples, taken apart and put together again.

Nothing of the class itself runs: not its `__new__`, `__init__`, `__post_init__` or `__setattr__`, no property, and
nothing of its metaclass. What the class looks like is read from its dictionaries, and values are
stored through Python's own descriptors. A class is found by its module and qualified name among modules that are
imported already.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import sys
from dataclasses import dataclass
from types import (
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    SimpleNamespace,
    WrapperDescriptorType,
)
from typing import Any, TypeAlias, TypeVar

from cascade.spec.errors import StoredReferenceError
from cascade.spec.missing import MISSING
from cascade.spec.references import (
    class_attribute,
    class_order,
    find_loaded,
    is_class,
    own_attribute,
    own_attributes,
    reference_of,
)

_SET_BY_TYPING = (
    "__orig_class__"  # what `Box[int](...)` leaves in an instance; it says nothing about the value
)


class UnsupportedError(Exception):
    """A class or an instance that can't be data, and the remedy. Who knows its place tells the user.

    `kind` is its class, where that is not the class of the value at that place.
    """

    def __init__(self, remedy: str, kind: type | None = None) -> None:
        super().__init__(remedy)
        self.remedy = remedy
        self.kind = kind


@dataclass(frozen=True, slots=True)
class EnumShape:
    """An enum: its members by name, aliases among them."""

    cls: Any
    members: dict[str, Any]

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
        """Tell whether Python's own code makes the combinations."""
        return (
            type(self.cls) is enum.EnumType
            and issubclass(self.cls, enum.Flag)
            and class_attribute(self.cls, "_missing_") is enum.Flag.__dict__["_missing_"]
            and own_attribute(self.cls, "_member_type_") in (object, int)
        )


@dataclass(frozen=True, slots=True)
class DataclassShape:
    """A dataclass: its fields, and where their values are. `slots` has what is not in the instance's dictionary."""

    cls: Any
    names: tuple[str, ...]
    slots: dict[str, Any]
    other_slots: dict[str, Any]
    dictionary: Any
    derived: frozenset[str]

    KIND = "dataclass"

    def read(self, value: object) -> dict[str, object]:
        """Return the values of the fields that are set.

        Raises:
            UnsupportedError: If the instance holds more than its fields.
        """
        held: dict[str, object] = {} if self.dictionary is None else self.dictionary.__get__(value)
        more = held.keys() - self.derived - set(self.names)
        more |= {name for name, slot in self.other_slots.items() if _read_slot(slot, value) is not MISSING}
        if more:
            told = ", ".join(map(repr, sorted(more)))
            raise UnsupportedError(f"declare {told} as fields, or register the type with DataType")
        found = {}
        for name in self.names:
            part = _read_slot(self.slots[name], value) if name in self.slots else held.get(name, MISSING)
            if part is not MISSING:
                found[name] = part
        return found

    def build(self, values: dict[str, object]) -> object:
        """Return an instance with these values in its fields."""
        made = object.__new__(self.cls)
        held = None if self.dictionary is None else self.dictionary.__get__(made)
        for name, value in values.items():
            slot = self.slots.get(name)
            if slot is not None:
                slot.__set__(made, value)
            elif held is None:
                raise ValueError(f"no room for the field {name!r}")
            else:
                held[name] = value
        return made


@dataclass(frozen=True, slots=True)
class NamedTupleShape:
    """A named tuple: its fields in order."""

    cls: Any
    names: tuple[str, ...]
    dictionary: Any

    KIND = "named tuple"

    def read(self, value: Any) -> tuple[object, ...]:
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


Shape: TypeAlias = EnumShape | DataclassShape | NamedTupleShape
_Shape = TypeVar("_Shape", EnumShape, DataclassShape, NamedTupleShape)


class Shapes:
    """The classes that a codec has met. Each is looked up again wherever it is named, so that a reload is seen."""

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
            raise _changed(module, qualname, f"it is no {kind.KIND} any more")
        return known

    def _looked_at(self, module: str, qualname: str, found: object) -> Shape:
        if found is MISSING:
            raise missing_reference(module, qualname)
        try:
            shape = _shape(found) if is_class(found) else None
        except UnsupportedError:
            shape = None
        if shape is None:
            raise _changed(module, qualname, "it is no enum, dataclass or named tuple any more")
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
    told = f"its fields were {', '.join(stored) or 'none'} and are {', '.join(now) or 'none'}"
    return _changed(*reference_of(shape.cls), told)


def missing_member(shape: EnumShape, names: list[str]) -> StoredReferenceError:
    """Return the error for an enum that has no such members any more."""
    return _changed(*reference_of(shape.cls), f"it has no member {' | '.join(names)} any more")


def hash_is_pythons_own(cls: type) -> bool:
    """Tell whether hashing and comparing instances runs no code of the class: only what Python made for it."""
    methods = [class_attribute(cls, name) for name in ("__hash__", "__eq__", "__getattribute__")]
    return class_attribute(cls, "__getattr__") is MISSING and all(map(_is_pythons_own, methods))


def _is_pythons_own(method: object) -> bool:
    if type(method) is FunctionType:
        # The methods that `@dataclass` writes come from no file.
        return method is enum.Enum.__hash__ or method.__code__.co_filename == "<string>"
    return type(method) is WrapperDescriptorType


def _shape(cls: Any) -> Shape:
    if class_attribute(cls, "__del__") is not MISSING:
        raise UnsupportedError("register the type with DataType: data can't bring back a class with __del__")
    if issubclass(cls, enum.Enum):
        return EnumShape(cls, own_attribute(cls, "_member_map_"))
    if type(own_attribute(cls, "__dataclass_fields__")) is dict:
        return _dataclass_shape(cls)
    if issubclass(cls, tuple):
        for each in class_order(cls):
            names = own_attribute(each, "_fields")
            if type(names) is tuple and own_attribute(each, "_make") is not MISSING:
                return NamedTupleShape(cls, names, _dictionary_of(cls))
    raise UnsupportedError("pass plain data, a dataclass or an enum, or register the type with DataType")


def _dataclass_shape(cls: Any) -> DataclassShape:
    try:
        object.__new__(cls)
    except TypeError:
        raise UnsupportedError("register the type with DataType: it is more than a dataclass") from None
    # `fields` asks its argument for this one attribute; a class might answer through its metaclass.
    declared: Any = SimpleNamespace(__dataclass_fields__=own_attribute(cls, "__dataclass_fields__"))
    names = tuple(each.name for each in dataclasses.fields(declared))
    all_slots: dict[str, Any] = {}
    derived = {_SET_BY_TYPING}
    for each in reversed(class_order(cls)):
        for name, value in own_attributes(each).items():
            if type(value) is MemberDescriptorType:
                all_slots[name] = value
            elif isinstance(value, functools.cached_property):
                derived.add(name)
    slots = {name: slot for name in names if type(slot := class_attribute(cls, name)) is MemberDescriptorType}
    others = {name: slot for name, slot in all_slots.items() if slot is not slots.get(name)}
    return DataclassShape(cls, names, slots, others, _dictionary_of(cls), frozenset(derived))


def _dictionary_of(cls: Any) -> Any:
    """Return Python's own descriptor of the instance's dictionary; `None` if instances have none."""
    found = class_attribute(cls, "__dict__")
    if found is MISSING:
        return None
    if type(found) is not GetSetDescriptorType:
        raise UnsupportedError("register the type with DataType: it has a __dict__ of its own")
    return found


def _read_slot(slot: Any, value: object) -> object:
    try:
        return slot.__get__(value)
    except AttributeError:
        return MISSING
