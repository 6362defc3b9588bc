"""What is known of a value before anybody knows where in the whole it stands: its parts, or why it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cascade.spec.calls.missing import MISSING


class Packed(NamedTuple):
    """A value of a library as data: what is said of it in plain data, and parts that go through the codec.

    `places` says how each part is written after the value's own path.
    """

    head: object
    parts: Sequence[object]
    places: Sequence[str]


class UnsupportedError(Exception):
    """A class or an instance that can't be data, and the remedy. Who knows its place tells the user.

    `culprit` is the value at fault, where that is not the value that was looked at.
    """

    def __init__(self, remedy: str, culprit: object = MISSING) -> None:
        super().__init__(remedy)
        self.remedy = remedy
        self.culprit = culprit
