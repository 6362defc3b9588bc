"""Timed calls: a function that also notes when each of its calls has ended.

Plain calls follow each other, so each began when the one before it ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

Ends = list[float]
"""When each of some calls ended, in seconds of `time.monotonic`."""


def timed(func: Callable[..., Any], ends: Ends | None, arity: int = 0) -> Callable[..., Any]:
    """Return `func`, or a function around it that notes the ends of its calls; one that raises has none there.

    All arguments are given by position; if there is always one, `arity` is 1, which is faster.
    """
    if ends is None:
        return func
    # Once per call of every watched stretch: watched by observatory/benchmarks/bench_events.py.
    note, clock = ends.append, time.monotonic

    def call_single(argument: Any) -> Any:
        value = func(argument)
        note(clock())
        return value

    def call(*args: Any) -> Any:
        value = func(*args)
        note(clock())
        return value

    return call_single if arity == 1 else call
