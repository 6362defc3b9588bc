"""Timed calls: a function that also notes when each of its calls has ended.

Plain calls follow each other, so each began when the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Ends = list[float]
"""When each of some calls ended, in seconds of `time.monotonic`."""


def timed(func: Callable[..., Any], ends: Ends | None) -> Callable[..., Any]:
    """Return `func`, or a function around it that notes the ends of its calls; one that raises has none there."""
    if ends is None:
        return func
    # Once per call of every watched stretch: watched by observatory/benchmarks/bench_events.py.
    note, clock = ends.append, time.monotonic

    def call(*args: Any, **kwargs: Any) -> Any:
        value = func(*args, **kwargs)
        note(clock())
        return value

    return call
