"""The types of inputs as data: references to classes, and generics, unions and literals of them."""

from __future__ import annotations

from types import GenericAlias, NoneType, UnionType
from typing import Literal, Union, get_args, get_origin

from cascade.adapters.codec.trees.task_references import Reference, find_class, reference_of_class
from cascade.adapters.codec.trees.tree_layout import Expression
from cascade.adapters.codec.untyped import Decoded, Foreign
from cascade.spec.errors import CodecError


def describe_type(kind: object, name: str) -> list[object]:
    """Return the type of the input `name` as data.

    Raises:
        CodecError: If it is neither a class nor put together from classes.
    """
    if kind is None:
        return [Expression.NOTHING.value]
    if kind is NoneType:
        return [Expression.NONE_TYPE.value]
    reference = reference_of_class(kind)
    if reference is not None:
        return [Expression.CLASS.value, reference]
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return [Expression.UNION.value, [describe_type(each, name) for each in get_args(kind)]]
    if origin is Literal:
        return [Expression.LITERAL.value, list(get_args(kind))]
    if type(kind) is GenericAlias:
        arguments = [describe_type(each, name) for each in get_args(kind)]
        return [Expression.GENERIC.value, reference_of_class(origin), arguments]
    raise CodecError(
        str(kind), f"the type of the input '{name}'", "give a class of a module, or list[X] or X | Y of such"
    )


def read_type(described: Decoded) -> Foreign:
    """Return the type.

    Raises:
        StoredReferenceError: If a class is not there.
    """
    match described:
        case [Expression.NOTHING]:
            return None
        case [Expression.NONE_TYPE]:
            return NoneType
        case [Expression.CLASS, reference]:
            return find_class(reference)
        case [Expression.UNION, members]:
            return Union[tuple(read_type(each) for each in members)]  # noqa: UP007 - of as many as there are
        case [Expression.LITERAL, values]:
            return Literal[tuple(values)]
        case [Expression.GENERIC, origin, arguments]:
            return GenericAlias(find_class(origin), tuple(read_type(each) for each in arguments))
    raise ValueError("a type that is none")


def classes_of(described: Decoded) -> list[Reference]:
    """Return the classes that a described type names."""
    match described:
        case [Expression.CLASS, reference]:
            return [reference]
        case [Expression.UNION, members]:
            return [reference for each in members for reference in classes_of(each)]
        case [Expression.GENERIC, _, arguments]:
            return [reference for each in arguments for reference in classes_of(each)]
    return []
