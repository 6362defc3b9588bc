"""Steps: work on large trees as generators that give others a turn at each step, and return what they have made."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

STRETCH = 512
"""Nodes, or slots of one node, that are looked at before somebody else may have a turn: less than a millisecond."""

Steps = Generator[None, None, T]
"""Work that comes in small steps."""


def done(steps: Steps[T]) -> T:
    """Do all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value
