"""Ages: what `--since 2h`, `--older-than 7d` and `--since 2026-11-01` mean."""

from __future__ import annotations

import math
import time
from datetime import datetime

import typer

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment(text: str) -> float:
    """Return a time as seconds since the epoch.

    The text is an age, a number with one of the units `s`, `m`, `h`, `d`, `w`; or a date in ISO 8601, with or without a
    time, which is local unless it names a zone.

    Raises:
        typer.BadParameter: If the text is neither.
    """
    try:
        if text[-1:] in _SECONDS:
            amount = float(text[:-1])
            if amount >= 0 and math.isfinite(amount):
                return time.time() - amount * _SECONDS[text[-1]]
        else:
            return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    raise typer.BadParameter(f"{text!r} is neither an age, as 30m, 12h, 7d or 4w, nor a date, as 2026-11-30")
