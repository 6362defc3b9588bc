"""Results as JSON: plain data, dates, paths, enums, models, arrays and tables; all else is refused by its place."""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any
from uuid import UUID

from cascade.spec import CascadeError, SecretValue


@dataclass(eq=False)
class NoJsonError(CascadeError, TypeError):
    """A part of a result that has no form in JSON; `place` is the way to it."""

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.place} is of type {self.kind}, which has no form in JSON; leave out --result json"


def result_json(value: object) -> str:
    """Return a result as a JSON text; numbers that JSON does not have, such as `nan`, are `null`.

    Raises:
        NoJsonError: If a part of it has no such form.
    """
    try:
        plain = _plain(value, "the result")
    except RecursionError:
        raise NoJsonError("a structure that is too deep or holds itself", "the result") from None
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(plain, indent=2)
    return text


def _plain(value: Any, place: str) -> Any:
    if value is None or (isinstance(value, (bool, str)) and not isinstance(value, Enum)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (int, float)) and not isinstance(value, Enum):
        return _number(value)
    for kinds, make in _MADE:
        if isinstance(value, kinds):
            return make(value)
    if isinstance(value, Enum):
        return _plain(value.value, place)
    data = _data(value)
    if isinstance(data, Mapping):
        return _object(data, place)
    if isinstance(data, (list, tuple, deque)):
        return [_plain(item, f"{place}[{index}]") for index, item in enumerate(data)]
    if isinstance(data, (set, frozenset)):
        return _sorted([_plain(item, f"a member of {place}") for item in data])
    if data is not value:
        return _plain(data, place)
    raise NoJsonError(type(value).__name__, place)


def _number(value: float) -> float | int | None:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return int(value)


def _object(data: Mapping[Any, Any], place: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in data.items():
        plain = _plain(key, f"a key of {place}")
        if isinstance(plain, (list, dict)):
            raise NoJsonError(type(key).__name__, f"a key of {place}")
        name = plain if isinstance(plain, str) else json.dumps(plain)
        if name in found:
            raise NoJsonError("one that JSON can't tell from another key", f"the key {name!r} of {place}")
        found[name] = _plain(item, f"{place}[{name!r}]")
    return found


def _sorted(items: list[Any]) -> list[Any]:
    """Return the members of a set in an order that is the same for equal sets."""
    return sorted(items, key=lambda item: (type(item).__name__, json.dumps(item)))


def _data(value: Any) -> Any:
    """Return the fields, items or numbers that an object holds; the object itself if it is of no known kind."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    kind = type(value)
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    if hasattr(kind, "__pydantic_fields__") or hasattr(kind, "model_fields"):
        return {name: getattr(value, name) for name in kind.model_fields}
    library = kind.__module__.partition(".")[0]
    if library == "pandas" and hasattr(value, "to_dict"):
        return value.to_dict("records") if hasattr(value, "columns") else value.tolist()
    if library in ("numpy", "pandas") and hasattr(value, "tolist"):
        return value.tolist()
    return value


def _seconds(value: timedelta) -> float:
    return value.total_seconds()


_MADE: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    ((datetime, date, time), lambda value: value.isoformat()),
    (timedelta, _seconds),
    ((PurePath, UUID, Decimal, Fraction, SecretValue), str),
)
