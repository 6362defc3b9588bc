"""Rows: what is measured, against which limit, and what it may cost. What a row measures makes no verdict of it."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from observatory.contest import Timing


@dataclass(frozen=True, slots=True)
class Reading:
    """What the repeats of both sides took, in the unit of the row; or why there is nothing."""

    size: int
    limit: Sequence[float] = ()
    ours: Sequence[float] = ()
    absent: str = ""

    @property
    def lowest_limit(self) -> float:
        return min(self.limit)

    @property
    def lowest(self) -> float:
        return min(self.ours)

    @property
    def ratio(self) -> float:
        return self.lowest / self.lowest_limit if self.lowest_limit else float("inf")

    @property
    def median_ratio(self) -> float:
        middle = statistics.median(self.limit)
        return statistics.median(self.ours) / middle if middle else float("inf")

    @property
    def more(self) -> float:
        """What ours takes more than the limit."""
        return self.lowest - self.lowest_limit


def reading_of(timing: Timing) -> Reading:
    """Return a timing in microseconds a unit."""
    unit = 1e6 / timing.units
    return Reading(timing.size, [each * unit for each in timing.limit], [each * unit for each in timing.ours])


@dataclass(frozen=True, slots=True)
class Target:
    """The most that ours may cost: so many times the limit, so much more than the limit, or so much in all.

    Where more than one of them is given, one is enough.
    """

    times: float | None = None
    more: float | None = None
    most: float | None = None

    def __post_init__(self) -> None:
        if self.times is self.more is self.most is None:
            raise ValueError("a target that nothing could miss")

    def is_reached(self, reading: Reading) -> bool:
        return (
            (self.times is not None and reading.ratio <= self.times)
            or (self.more is not None and reading.more <= self.more)
            or (self.most is not None and reading.lowest <= self.most)
        )

    def distance(self, reading: Reading) -> float:
        """Return how many times the allowed figure the reading is, by the bound that it is nearest to."""
        found = []
        if self.times is not None:
            found.append(reading.ratio / self.times)
        if self.more is not None:
            found.append(reading.more / self.more if self.more else float("inf"))
        if self.most is not None:
            found.append(reading.lowest / self.most)
        return min(found)

    def told(self, unit: str) -> str:
        return self._each(
            lambda most: f"{most:g} {unit}", lambda more: f"+{more:g} {unit}", lambda times: f"{times:g} x"
        )

    def against(self, reading: Reading, unit: str) -> str:
        """Return the reading as the target puts it."""
        return self._each(
            lambda _: f"{short(reading.lowest)} {unit}",
            lambda _: f"{reading.more:+.3g} {unit}",
            lambda _: f"{reading.ratio:.2f} x",
        )

    def _each(
        self, most: Callable[[float], str], more: Callable[[float], str], times: Callable[[float], str]
    ) -> str:
        kinds = ((self.most, most), (self.more, more), (self.times, times))
        return " or ".join(say(limit) for limit, say in kinds if limit is not None)


def short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure: a folder on a disk, seconds a row, and repeats that it has at least."""

    folder: Path
    seconds: float = 1.0
    fewest: int = 5


Measure = Callable[[int, Settings], Awaitable[Reading]]
"""From a size: what both sides take. Answers are checked; a wrong one raises `WrongAnswerError`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing to measure, `name` in the words of Cascade and `limit` in words for what it is held against.

    `size` is that of the requirement, `small` one that a test can afford.
    """

    name: str
    limit: str
    unit: str
    size: int
    small: int
    target: Target
    measure: Measure
    group: str
