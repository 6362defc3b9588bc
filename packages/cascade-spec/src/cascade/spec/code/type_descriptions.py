"""Descriptions of the types that annotations are made of: generic types, unions, aliases and type variables."""

from __future__ import annotations

import types
import typing

from cascade.spec.code.descriptions import DescribesParts, Description, Value


def describe_alias(value: Value, describe: DescribesParts) -> Description:
    """Describe a generic type with its arguments, or a union."""
    origin: object = typing.get_origin(value)
    if origin in (typing.Union, types.UnionType):
        return "union", describe.all(typing.get_args(value))
    parts = [tuple(each) if isinstance(each, list) else each for each in typing.get_args(value)]
    is_plain = is_type_alias(origin) or (isinstance(origin, type) and origin.__module__ != "typing")
    name: object = (
        describe(origin) if is_plain else getattr(origin, "__name__", None) or getattr(origin, "_name", "")
    )
    return name, describe.all(parts)


def is_type_alias(value: object) -> bool:
    """Return whether a value was made by a `type` statement, which came with Python 3.12."""
    kind = type(value)
    return kind.__module__ == "typing" and kind.__name__ == "TypeAliasType"


def describe_type_alias(value: Value, describe: DescribesParts) -> Description:
    """Describe a `type` statement by its name and by what it stands for."""
    if any(each is value for each in describe.aliases):
        return value.__name__
    try:
        meant = value.__value__  # the code after `type ROWS =` runs here
    except Exception:  # noqa: BLE001 - whatever that code raises; a task that needs the value fails too
        return value.__name__, describe.describer.unknown(describe.closed_over)
    return value.__name__, describe.inside_alias(value)(meant)


def describe_variable(value: Value, describe: DescribesParts) -> Description:
    """Describe a type variable by its name."""
    return value.__name__


def describe_new_type(value: typing.NewType, describe: DescribesParts) -> Description:
    """Describe a `NewType` by its name and the type below it."""
    return value.__name__, describe(value.__supertype__)


def describe_forward(value: typing.ForwardRef, describe: DescribesParts) -> Description:
    """Describe a forward reference by its text."""
    return value.__forward_arg__
