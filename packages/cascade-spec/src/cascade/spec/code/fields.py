"""Fields: the fields of a class and their defaults, one row for each library that makes such classes.

Libraries are not imported: an attribute of the class says which one has made it.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple, TypeAlias

from cascade.spec.source.syntax import function_in

Field = tuple[str, object]
"""A name and the default of the field: a value, or a function that makes one."""


Fields: TypeAlias = Any
"""What a class holds under the attribute of its row; each library has its own form."""


class FieldKind(NamedTuple):
    """A row: what the classes are called, the attribute that they are known by, and what gives their fields."""

    name: str
    attribute: str
    fields: Callable[[type, Fields], Iterator[Field]]


def _named_tuple(cls: type, defaults: Fields) -> Iterator[Field]:
    for name in vars(cls).get("_fields", ()):
        yield name, defaults.get(name)


def _dataclass(cls: type, fields: Fields) -> Iterator[Field]:
    for name, each in fields.items():
        yield f"{name}{_AS}", each.type
        if each.default is not dataclasses.MISSING:
            yield name, each.default
        if each.default_factory is not dataclasses.MISSING:
            yield f"{name} by", each.default_factory


def _enum(cls: type, members: Mapping[str, enum.Enum]) -> Iterator[Field]:
    for name, each in members.items():
        yield name, each.value


def _pydantic(cls: type, fields: Fields) -> Iterator[Field]:
    for name, each in fields.items():
        yield f"{name}{_AS}", each.annotation
        if type(each.default).__name__ != "PydanticUndefinedType":
            yield name, each.default
        if each.default_factory is not None:
            yield f"{name} by", each.default_factory


def _msgspec(cls: Fields, fields: Fields) -> Iterator[Field]:
    defaults = cls.__struct_defaults__
    for name in fields[: len(fields) - len(defaults)]:
        yield name, None
    for name, each in zip(fields[len(fields) - len(defaults) :], defaults, strict=True):
        yield name, getattr(each, "factory", each)


def _attrs(cls: type, fields: Fields) -> Iterator[Field]:
    for each in fields:
        if getattr(each.default, "name", "") != "NOTHING":
            yield each.name, getattr(each.default, "factory", each.default)
        else:
            yield each.name, None


FIELD_KINDS = (
    FieldKind("named tuple", "_field_defaults", _named_tuple),
    FieldKind("dataclass", "__dataclass_fields__", _dataclass),
    FieldKind("pydantic model", "__pydantic_fields__", _pydantic),
    FieldKind("msgspec struct", "__struct_fields__", _msgspec),
    FieldKind("attrs class", "__attrs_attrs__", _attrs),
)


_AS = " as"
"""Ends the name under which the type of a field is described."""


def fields_of(cls: type, with_types: bool) -> Iterator[Field]:
    """Yield the fields of a class. A library may not know their types before it has completed the class."""
    for row in FIELD_KINDS:
        if _is_of(cls, row):
            fields = row.fields(cls, getattr(cls, row.attribute))
            yield from (each for each in fields if with_types or not each[0].endswith(_AS))
    if issubclass(cls, enum.Enum):
        yield from _enum(cls, getattr(cls, "_member_map_", {}))


def is_written_by_library(cls: type) -> bool:
    """Return whether a library writes methods of a class."""
    return any(_is_of(cls, row) for row in FIELD_KINDS)


def is_generated(value: object, cls: type) -> bool:
    """Return whether a member of a class is a method that a library has written as text."""
    function = function_in(value)
    if not isinstance(function, FunctionType) or not is_written_by_library(cls):
        return False
    return function.__code__.co_filename.startswith(_GENERATED)


_GENERATED = ("<string>", "<attrs ")
"""What `dataclass`, `namedtuple` and attrs call the text of the methods that they write."""


def _is_of(cls: type, row: FieldKind) -> bool:
    """Return whether a class has the attribute of a row, or its metaclass has it, as with msgspec."""
    return row.attribute in vars(cls) or row.attribute in vars(type(cls))
