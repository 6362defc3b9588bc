"""Results as JSON: plain data, dates, paths, enums, models, arrays and data frames.

Anything else is refused, with the place where it stands: a program that reads JSON should not get a `repr`.
"""

from __future__ import annotations

import json
import math
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import PurePath
from typing import Any, TypeAlias
from uuid import UUID

from cascade.spec import CascadeError, SecretValue
from cascade.spec.late_dataclasses import dataclass

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"
"""What `json` writes as it is."""


@dataclass(eq=False)
class NoJsonError(CascadeError, TypeError):
    """A part of a result has no form in JSON. `kind` is its type, `place` the way to it: `the result['a'][0]`."""

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{self.place} is of type {self.kind}, which has no form in JSON; leave out --result json"


def result_json(value: object) -> str:
    """Return a result as a JSON text. Numbers that JSON does not have, such as `nan`, become `null`.

    Raises:
        NoJsonError: If a part of it has no form in JSON, or it holds itself.
    """
    try:
        plain = _plain(value, "the result")
    except RecursionError:
        raise NoJsonError("a structure that is too deep or holds itself", "the result") from None
    text = json.dumps(plain, indent=2, ensure_ascii=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # JSON's own escapes give the same text back; those of the stream would not
        text = json.dumps(plain, indent=2)
    return text


def _plain(value: object, place: str) -> Json:
    """Return a value as what `json` can write; `place` is the way to it, for the error."""
    if value is None or (isinstance(value, (bool, str)) and not isinstance(value, Enum)):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, (int, float)) and not isinstance(value, Enum):
        return _number(value)
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, (PurePath, UUID, Decimal, Fraction, SecretValue)):
        return str(value)
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


def _object(data: Mapping[object, object], place: str) -> dict[str, Json]:
    """Return a mapping as an object. Keys that are no texts are written as JSON; no two may be written alike."""
    found: dict[str, Json] = {}
    for key, item in data.items():
        plain = _plain(key, f"a key of {place}")
        if isinstance(plain, (list, dict)):
            raise NoJsonError(type(key).__name__, f"a key of {place}")
        name = plain if isinstance(plain, str) else json.dumps(plain)
        if name in found:
            raise NoJsonError("one that JSON can't tell from another key", f"the key {name!r} of {place}")
        found[name] = _plain(item, f"{place}[{name!r}]")
    return found


def _sorted(items: list[Json]) -> list[Json]:
    """Return the members of a set in an order that is the same for equal sets."""
    return sorted(items, key=lambda item: (type(item).__name__, json.dumps(item)))


def _data(value: Any) -> object:
    """Return the fields, items or numbers that an object holds; the object itself if it is of no known kind.

    Kinds of libraries are told by their attributes and modules: no library is imported for it.
    """
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
