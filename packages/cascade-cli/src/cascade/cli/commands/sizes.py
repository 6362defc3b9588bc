"""Sizes: what `--larger-than 10MB` means."""

from __future__ import annotations

import math
import re

import typer

_UNITS = {
    "": 1,
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "KIB": 1 << 10,
    "MIB": 1 << 20,
    "GIB": 1 << 30,
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")


def size(text: str) -> int:
    """Return a number of bytes; the text is a number with or without a unit: `500`, `10MB`, `1.5GiB`.

    Raises:
        typer.BadParameter: If it is none.
    """
    found = _SIZE.fullmatch(text)
    unit = None if found is None else _UNITS.get(found[2].upper())
    if found is None or unit is None or not math.isfinite(float(found[1])):
        raise typer.BadParameter(f"{text!r} is no size, as 500, 64KB, 10MB or 1GiB")
    return int(float(found[1]) * unit)
