"""Types of inputs: checking a value, and reading one from text.

Known are `str`, `int`, `float`, `bool`, `pathlib.Path`, `File`, dates and times, enums, and of these `X | None`,
`Literal[...]`, `list[X]`, `set[X]`, `frozenset[X]`, `tuple[X, ...]`, `tuple[X, Y]` and `dict`, whose text is JSON.
Any other class is checked with `isinstance` and read by calling it with the text.
"""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin

from cascade.spec.inputs.files import File

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_MANY: tuple[type, ...] = (list, set, frozenset, tuple)


def type_name(kind: object) -> str:
    """Return a type as people read it: a `PosixPath` is a path."""
    if isinstance(kind, type) and not get_args(kind):
        return "path" if _is_path(kind) else kind.__name__
    origin, choices = get_origin(kind), get_args(kind)
    if kind is Ellipsis:
        return "..."
    if origin in (Union, types.UnionType):
        return " | ".join("None" if each is types.NoneType else type_name(each) for each in choices)
    if origin in (*_MANY, dict):
        return f"{origin.__name__}[{', '.join(map(type_name, choices))}]"
    return str(kind).replace("typing.", "")


def _is_path(kind: type) -> bool:
    """Return whether a class is one of `pathlib`, without importing it."""
    return any(base.__name__ == "PurePath" and base.__module__.startswith("pathlib") for base in kind.__mro__)


def is_type(kind: object) -> bool:
    """Return whether values can be checked against `kind`."""
    origin = get_origin(kind)
    if kind is Any or kind is None or kind is Ellipsis or origin is Literal:
        return True
    if origin is None:
        return isinstance(kind, type)
    if origin in (Union, types.UnionType, *_MANY):
        return all(map(is_type, get_args(kind)))
    return isinstance(origin, type)


def many(kind: object) -> type | None:
    """Return the container class of a type: `list`, `set`, `frozenset` or `tuple`; `None` for other types."""
    found = get_origin(kind) or kind
    return found if found in _MANY else None


def without_none(kind: object) -> object:
    """Return `X` for `X | None`, and any other type as it is."""
    if get_origin(kind) in (Union, types.UnionType):
        others = [choice for choice in get_args(kind) if choice is not types.NoneType]
        return others[0] if len(others) == 1 else kind
    return kind


def item_types(kind: object) -> object:
    """Return the type of a container's items; for a tuple of fixed length the types, as a tuple."""
    choices = get_args(kind)
    if many(kind) is tuple and choices and choices[-1] is not Ellipsis:
        return choices
    return next(iter(choices), object)


def with_item_type(kind: object, example: object) -> object:
    """Return `list[int]` for `list` with the example `[1, 2]`, and so for each container; other types as they are."""
    if kind in _MANY and type(example) is kind and example:
        found = {type(item) for item in example}  # type: ignore[attr-defined]  # a container
        if len(found) == 1:
            item = found.pop()
            return types.GenericAlias(kind, (item, ...) if kind is tuple else (item,))
    return kind


def check_type(value: object, kind: Any) -> bool:
    """Return whether `value` is of that type. An `int` is a `float`; a `bool` is no number, a `datetime` no `date`."""
    if kind is Any or kind is object:
        return True
    origin = get_origin(kind)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in get_args(kind))
    if origin in (Union, types.UnionType):
        return any(check_type(value, choice) for choice in get_args(kind))
    if kind is None or kind is types.NoneType:
        return value is None
    if origin in _MANY:
        return isinstance(value, origin) and _check_items(value, kind)
    if origin is not None:
        return isinstance(value, origin)
    if kind in (int, float) and isinstance(value, bool):
        return False
    if kind is date and isinstance(value, datetime):
        return False
    return isinstance(value, (int, float) if kind is float else kind)


def _check_items(value: Collection[object], kind: object) -> bool:
    items = item_types(kind)
    if isinstance(items, tuple):
        return len(value) == len(items) and all(map(check_type, value, items))
    return items is object or all(check_type(item, items) for item in value)


def convert_text(text: str, kind: Any) -> object:
    """Return the value of that type that a text stands for.

    Raises:
        ValueError: If the text stands for none.
    """
    origin = get_origin(kind)
    if origin is Literal:
        return _choose(text, {str(choice): choice for choice in get_args(kind)})
    if origin in (Union, types.UnionType):
        return _first_that_fits(text, [choice for choice in get_args(kind) if choice is not types.NoneType])
    if many(kind) is not None:
        return collect_items([part.strip() for part in text.split(",")] if text.strip() else [], kind)
    if kind is Any or kind is object or kind is str:
        return text
    if kind is bool:
        return _parse_bool(text)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _choose(text, {str(member.value): member for member in kind} | dict(kind.__members__))
    return _call(_PARSERS.get(origin or kind, kind), text)


def _file(text: str) -> File:
    if not os.path.isfile(text):  # noqa: PTH113 - of `pathlib`, which few programs need
        raise ValueError("there is no such file")
    return File(text)


def collect_items(texts: Iterable[str], kind: object) -> object:
    """Return a container of that type from the texts of its items.

    Raises:
        ValueError: If a text does not fit its type, or there are more or fewer than a tuple has.
    """
    container, items, given = many(kind), item_types(kind), list(texts)
    assert container is not None
    if not isinstance(items, tuple):
        return container(convert_text(each, items) for each in given)
    if len(given) != len(items):
        raise ValueError(f"give {len(items)} values, with commas between them; got {len(given)}")
    return tuple(convert_text(each, item) for each, item in zip(given, items, strict=True))


def _parse_bool(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in _TRUE or lowered in _FALSE:
        return lowered in _TRUE
    raise ValueError(f"use one of {', '.join(sorted(_TRUE | _FALSE))}")


def _parse_json_object(text: str) -> object:
    # Brings regular expressions, and few parameters are dicts.
    import json  # noqa: PLC0415

    found: object = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError('write a JSON object, as in {"a": 1}')
    return found


_PARSERS: dict[type, Callable[[str], object]] = {
    date: date.fromisoformat,
    datetime: datetime.fromisoformat,
    dict: _parse_json_object,
    File: _file,
    time: time.fromisoformat,
}


def _choose(text: str, choices: Mapping[str, object]) -> object:
    if text in choices:
        return choices[text]
    raise ValueError(f"use one of {', '.join(choices)}")


def _first_that_fits(text: str, kinds: list[object]) -> object:
    problems = []
    for kind in kinds:
        try:
            return convert_text(text, kind)
        except ValueError as problem:
            problems.append(problem)
    if len(kinds) == 1:
        raise problems[0]
    raise ValueError(f"use one of {', '.join(type_name(kind) for kind in kinds)}")


def _call(parser: Callable[[str], object], text: str) -> object:
    try:
        return parser(text)
    except (TypeError, ArithmeticError, RecursionError) as problem:  # Decimal's own errors are arithmetic
        raise ValueError(str(problem)) from problem
