"""A clock that stands still: time passes only where a test spends it, however slow the machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_now = [1000.0]


@contextmanager
def still_clock() -> Iterator[None]:
    """Stop `time.monotonic`, which tells the engine and event loops the time, until the block ends.

    The order of calls that don't wait for each other depends on where time slices end: on a still clock the same
    calls share a slice on any machine.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: _now[0])
        yield


@contextmanager
def hasty_clock() -> Iterator[None]:
    """Let `time.monotonic` go on by a time slice at each look, until the block ends: each slice ends at the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", _look)
        yield


def _look() -> float:
    spend(0.02)
    return _now[0]


def spend(seconds: float) -> None:
    """Let time pass on the clock that stands still, as a call does that takes so long."""
    _now[0] += seconds
