"""Amounts as texts: counts, rates and times, short enough for a narrow terminal where that is wanted."""

from __future__ import annotations

from cascade.graph.drawing.labels import short_time


def count(number: int, *, short: bool = False) -> str:
    """Return a count: `12,345`, or `12.3k` where it is to be short; empty for none."""
    if not number:
        return ""
    if not short or number < 1000:
        return f"{number:,}"
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}" if number / size < 999.5 else f"{number / size:.0f}{unit}"
    return str(number)


def of_total(done: int, total: int | None, *, short: bool = False) -> str:
    """Return how many are done of how many, `12/100`; those done alone where nobody knows how many there are."""
    told = count(done, short=short) or "0"
    return told if total is None else f"{told}/{count(total, short=short) or '0'}"


def rate(per_second: float | None) -> str:
    """Return a rate: `1,234/s`, or `0.5/s`; empty where it is not known."""
    if not per_second:
        return ""
    if per_second >= 10:
        return f"{per_second:,.0f}/s"
    return f"{per_second:.1f}/s" if per_second >= 0.1 else f"{per_second * 60:.2g}/min"


def took(seconds: float) -> str:
    """Return how long something took: `250 ns`, `1.2 ms`, `12 s`, `12:34`."""
    if seconds >= 60:
        return clock(seconds)
    return f"{seconds * 1e9:.0f} ns" if 0 < seconds < 9.5e-7 else short_time(seconds)


def clock(seconds: float | None) -> str:
    """Return a time as a clock shows it: `0:07`, `12:34`, `1:02:03`, `3 d 04:05:06`; empty where it is not known."""
    if seconds is None:
        return ""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days:,} d {hour:02}:{minute:02}:{second:02}" if days < 1000 else "years"
    return f"{hour}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
