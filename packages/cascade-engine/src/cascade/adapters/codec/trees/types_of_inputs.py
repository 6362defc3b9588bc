"""Types of inputs as data: classes by reference, and what is put together from them."""

from __future__ import annotations

from types import GenericAlias, NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from cascade.adapters.codec.trees.task_references import Place, find_class, place_of_class
from cascade.adapters.codec.trees.tree_layout import Expression
from cascade.spec.errors import CodecError


def describe_type(kind: Any, name: str) -> list[Any]:
    """Return the type of the input `name` as data.

    Raises:
        CodecError: If it is neither a class nor put together from classes.
    """
    if kind is None:
        return [Expression.NOTHING.value]
    if kind is NoneType:
        return [Expression.NONE_TYPE.value]
    place = place_of_class(kind)
    if place is not None:
        return [Expression.CLASS.value, place]
    origin = get_origin(kind)
    if origin in (Union, UnionType):
        return [Expression.UNION.value, [describe_type(each, name) for each in get_args(kind)]]
    if origin is Literal:
        return [Expression.LITERAL.value, list(get_args(kind))]
    if type(kind) is GenericAlias:
        arguments = [describe_type(each, name) for each in get_args(kind)]
        return [Expression.GENERIC.value, place_of_class(origin), arguments]
    raise CodecError(
        str(kind), f"the type of the input '{name}'", "give a class of a module, or list[X] or X | Y of such"
    )


def read_type(described: list[Any]) -> Any:
    """Return the type.

    Raises:
        StoredReferenceError: If a class is not there.
    """
    match described:
        case [Expression.NOTHING]:
            return None
        case [Expression.NONE_TYPE]:
            return NoneType
        case [Expression.CLASS, place]:
            return find_class(place)
        case [Expression.UNION, members]:
            return Union[tuple(read_type(each) for each in members)]  # noqa: UP007 - of as many as there are
        case [Expression.LITERAL, values]:
            return Literal[tuple(values)]
        case [Expression.GENERIC, origin, arguments]:
            return GenericAlias(find_class(origin), tuple(read_type(each) for each in arguments))
    raise ValueError("a type that is none")


def classes_of(described: list[Any]) -> list[Place]:
    """Return the classes that a described type names."""
    match described:
        case [Expression.CLASS, place]:
            return [place]
        case [Expression.UNION, members]:
            return [place for each in members for place in classes_of(each)]
        case [Expression.GENERIC, _, arguments]:
            return [place for each in arguments for place in classes_of(each)]
    return []
