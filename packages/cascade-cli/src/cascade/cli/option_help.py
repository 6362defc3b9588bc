"""Option help: how the help of a command shows a type, a default and a description."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from rich.markup import escape

from cascade.spec import MISSING, EnvContract
from cascade.spec.inputs.conversion import item_types, many, type_name, with_item_type, without_none

_EMOJI = re.compile(r":(?=\S+:)")
"""A colon that may begin one of Rich's emoji codes, such as `:warning:`."""


def verbatim(text: str) -> str:
    """Return a text that Rich shows as it is.

    Without this, Rich takes words in brackets for styles, and words between colons for emoji.
    """
    return _EMOJI.sub(":[none][/none]", escape(text))


def environment_help(contracts: Iterable[object]) -> str:
    """Return the part of a help text that lists the environment variables; empty if there are none."""
    lines = [_variable_line(contract) for contract in contracts if isinstance(contract, EnvContract)]
    return "\n\n".join(["Environment:", *lines]) if lines else ""


def _variable_line(contract: EnvContract) -> str:
    note = "[required]" if contract.required else default_text(contract.default, secret=contract.secret)
    kind = type_label(with_item_type(without_none(contract.type), contract.default))
    words = (f"{contract.name} <{kind}>", contract.description, note)
    return verbatim("  ".join(filter(None, words)))


def default_text(default: object, *, secret: bool) -> str:
    """Return how a default is shown, `[default: 5]`: empty where there is none, stars for that of a secret."""
    if default is MISSING or default is None:
        return ""
    return f"[default: {'***' if secret else _as_written(default)}]"


def _as_written(value: object) -> str:
    """Return a value as one would write it on the command line."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (list, tuple)):
        return ",".join(map(_as_written, value)) or '""'
    if isinstance(value, (set, frozenset)):
        return ",".join(sorted(map(_as_written, value))) or '""'
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def type_label(kind: Any) -> str:
    """Return how help shows a type: by its name, as `red|green` by its choices, or as `int,...` by its items."""
    kind = without_none(kind)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    if many(kind) is not None:
        items = item_types(kind)
        if isinstance(items, tuple):
            return ",".join(map(type_label, items))
        return f"{type_label(str if items is object else items)},..."
    return "json" if kind is dict or get_origin(kind) is dict else type_name(kind)
