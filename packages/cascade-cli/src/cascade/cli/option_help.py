"""Help texts of options: how a type, a default and a description are shown."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from rich.markup import escape

from cascade.spec import MISSING, EnvContract
from cascade.spec.inputs.conversion import item_types, many, told_by, type_name, without_none

_EMOJI = re.compile(r":(?=\S+:)")


def verbatim(text: str) -> str:
    """Return a text as help shows it: neither its brackets are styles, nor words between its colons pictures."""
    return _EMOJI.sub(":[none][/none]", escape(text))


def environment(contracts: Iterable[object]) -> str:
    """Return the part of a help text that tells of the environment variables; empty if there are none."""
    told = [_told(contract) for contract in contracts if isinstance(contract, EnvContract)]
    return "\n\n".join(["Environment:", *told]) if told else ""


def _told(contract: EnvContract) -> str:
    note = "[required]" if contract.required else default_text(contract.default, secret=contract.secret)
    kind = label(told_by(without_none(contract.type), contract.default))
    words = (f"{contract.name} <{kind}>", contract.description, note)
    return verbatim("  ".join(filter(None, words)))


def default_text(default: object, *, secret: bool) -> str:
    """Return how a default is shown, `[default: 5]`; empty where there is none, stars for that of a secret."""
    if default is MISSING or default is None:
        return ""
    return f"[default: {'***' if secret else _text(default)}]"


def _text(value: object) -> str:
    """Return a value as it would be written on the command line."""
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, (list, tuple)):
        return ",".join(map(_text, value)) or '""'
    if isinstance(value, (set, frozenset)):
        return ",".join(sorted(map(_text, value))) or '""'
    return str(value).lower() if isinstance(value, bool) else str(value) or '""'


def label(kind: Any) -> str:
    """Return how the help shows a type: its name, the choices, or the items with commas between them."""
    kind = without_none(kind)
    if get_origin(kind) is Literal:
        return "|".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return "|".join(str(member.value) for member in kind)
    if many(kind) is not None:
        items = item_types(kind)
        named = items if isinstance(items, tuple) else (str if items is object else items,)
        return ",".join((*map(label, named), *(() if isinstance(items, tuple) else ("...",))))
    return "json" if kind is dict or get_origin(kind) is dict else type_name(kind)
