"""Docstrings as they are written here, turned into what Sphinx reads.

What stands between backticks is code, and a link if it is a public name. `Raises:` and `Attributes:` begin lists of
names with what is said of each.
"""

from __future__ import annotations

import inspect
import re
import sys

from public_names import public_name_of
from sphinx.application import Sphinx

_CODE = re.compile(r"`([^`]+)`")
_SPECIAL = re.compile(r"[\\*|`]|_(?=\W|$)")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_FIELDS = {"Raises:": "raises", "Attributes:": "ivar"}
_FIELD = re.compile(r"(?P<names>[\w., ]+?): (?P<text>.*)")


def as_rest(lines: list[str], places: list[object]) -> list[str]:
    """Return a docstring as reStructuredText."""
    text = "\n".join(_with_fields(lines))
    parts = _CODE.split(text)
    parts[::2] = [_SPECIAL.sub(r"\\\g<0>", part) for part in parts[::2]]
    parts[1::2] = [_code(" ".join(part.split()), places) for part in parts[1::2]]
    return _joined(parts).split("\n")


def _code(words: str, places: list[object]) -> str:
    name = public_name_of(words, places) if _NAME.fullmatch(words) else None
    return f"``{words}``" if name is None else f":py:obj:`{words} <{name}>`"


def _joined(parts: list[str]) -> str:
    """Join text and code; code that touches a word is set off by an escaped space, which is not shown."""
    text = parts[0]
    for code, following in zip(parts[1::2], parts[2::2], strict=True):
        before = "\\ " if text and not (text[-1].isspace() or text[-1] in "([\"'") else ""
        after = "\\ " if following and (following[0].isalnum() or following[0] in "([\"'_") else ""
        text += f"{before}{code}{after}{following}"
    return text


def _with_fields(lines: list[str]) -> list[str]:
    """Turn the lists below `Raises:` and `Attributes:` into fields."""
    told: list[str] = []
    field: str | None = None
    for line in lines:
        if line in _FIELDS:
            field = _FIELDS[line]
            told.append("")
            continue
        if line and not line[0].isspace():
            field = None
        entry = _FIELD.fullmatch(line[4:]) if field and line[4:5].strip() else None
        if entry is not None:
            # One field for each name: the text follows the last.
            *others, last = entry["names"].split(", ")
            told += [f":{field} {name}:" for name in others]
            told.append(f":{field} {last}: {entry['text']}")
        else:
            told.append(line)
    return told


def rewrite(  # noqa: PLR0913 - what Sphinx hands over
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """Rewrite the docstring of one object in place."""
    module = inspect.getmodule(obj) or sys.modules.get(name.rpartition(".")[0])
    places: list[object] = [obj] if isinstance(obj, type) else []
    if what in ("method", "property", "attribute"):
        package, class_name, _ = name.rsplit(".", 2)
        owner = getattr(sys.modules.get(package), class_name, None)
        if owner is not None:
            places.append(owner)
            module = module or inspect.getmodule(owner)
    if module is not None:
        places.append(module)
    lines[:] = as_rest(lines, places)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", rewrite)
    return {"parallel_read_safe": True}
