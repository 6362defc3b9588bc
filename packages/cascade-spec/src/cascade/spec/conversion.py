"""Types of inputs: checking a value, and reading one from text.

Known are `str`, `int`, `float`, `bool`, `pathlib.Path`, `File`, dates and times, enums, and `list[X]`, `X | None`,
`Literal[...]` of these. Any other class is checked with `isinstance` and read by calling it with the text.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from cascade.spec.files import File

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


def type_name(kind: Any) -> str:
    """Return how a type is written."""
    return (
        kind.__name__ if isinstance(kind, type) and not get_args(kind) else str(kind).replace("typing.", "")
    )


def check_type(value: object, kind: Any) -> bool:
    """Tell whether `value` is of that type. An `int` is a `float`; a `bool` is no number."""
    if kind is Any or kind is object:
        return True
    origin = get_origin(kind)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if origin in (Union, types.UnionType):
        return any(check_type(value, choice) for choice in get_args(kind))
    if kind is None or kind is types.NoneType:
        return value is None
    if origin is list:
        return isinstance(value, list) and all(check_type(item, *get_args(kind)) for item in value)
    if origin is not None:
        return isinstance(value, origin)
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def convert_text(text: str, kind: Any) -> object:
    """Read a value of that type from text.

    Raises:
        ValueError: If the text is none.
    """
    origin = get_origin(kind)
    if origin is Literal:
        return _choose(text, {str(choice): choice for choice in get_args(kind)})
    if origin in (Union, types.UnionType):
        return _first_that_fits(text, [choice for choice in get_args(kind) if choice is not types.NoneType])
    if origin is list or kind is list:
        item = next(iter(get_args(kind)), str)
        return [convert_text(part.strip(), item) for part in text.split(",")] if text.strip() else []
    if kind is Any or kind is object or kind is str:
        return text
    if kind is bool:
        return _parse_bool(text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choose(text, {str(member.value): member for member in kind} | dict(kind.__members__))
    return _call(_PARSERS.get(kind, kind), text)


def _file(text: str) -> File:
    if not os.path.isfile(text):  # noqa: PTH113 - of `pathlib`, which few programs need
        raise ValueError("there is no such file")
    return File(text)


_PARSERS: dict[Any, Callable[[str], object]] = {
    File: _file,
    datetime: datetime.fromisoformat,
    date: date.fromisoformat,
    time: time.fromisoformat,
}


def _parse_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise ValueError(f"use one of {', '.join(sorted(_TRUE | _FALSE))}")


def _choose(text: str, choices: dict[str, Any]) -> object:
    if text in choices:
        return choices[text]
    raise ValueError(f"use one of {', '.join(choices)}")


def _first_that_fits(text: str, kinds: list[Any]) -> object:
    for kind in kinds:
        try:
            return convert_text(text, kind)
        except ValueError:
            continue
    raise ValueError(f"use one of {', '.join(type_name(kind) for kind in kinds)}")


def _call(parser: Callable[[str], object], text: str) -> object:
    try:
        return parser(text)
    except (TypeError, ArithmeticError) as problem:  # Decimal's and Fraction's own errors are arithmetic
        raise ValueError(str(problem)) from problem
