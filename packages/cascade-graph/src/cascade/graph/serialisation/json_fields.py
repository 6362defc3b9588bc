"""JSON fields: checked access to what a JSON text holds.

Each function takes the object, the name of the field, and where the object stands in the text, for the error.
"""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from cascade.graph.graph_errors import GraphError
from cascade.spec.inputs.words import listed, words_of

Word = TypeVar("Word", bound=Enum)


def json_field(row: object, name: str, where: str, *kinds: type) -> Any:
    """Return a field of an object, which has to be exactly of one of these types: `true` is no number."""
    if not isinstance(row, dict):
        raise GraphError(f"{where} must be an object")
    if name not in row:
        raise GraphError(f"{where} has no field '{name}'")
    if type(row[name]) not in kinds:
        wanted = " or ".join(_JSON_NAMES[kind] for kind in kinds)
        raise GraphError(f"'{name}' of {where} must be {wanted}")
    return row[name]


def json_texts(row: object, name: str, where: str) -> tuple[str, ...]:
    """Return a field that has to be an array of strings."""
    found = json_field(row, name, where, list)
    if not all(type(each) is str for each in found):
        raise GraphError(f"'{name}' of {where} must hold strings only")
    return tuple(found)


def json_word(row: object, name: str, where: str, kinds: type[Word]) -> Word:
    """Return a field that has to be one of the words of an enum, as the member of that."""
    value = json_field(row, name, where, str)
    try:
        return kinds(value)
    except ValueError:
        known = listed(words_of(kinds))
        raise GraphError(f"'{name}' of {where} is {value!r}; known are {known}") from None


_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
