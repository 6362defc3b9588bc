"""The one place that judges: which rows miss their targets, and the tables that say so."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from observatory.rows.row import Reading, Row, short

MISSED, REACHED, ABSENT = "**missed**", "reached", "not measured"

HEAD = (
    "",
    "row",
    "size",
    "limit",
    "unit",
    "limit takes",
    "ours takes",
    "ratio",
    "of medians",
    "now",
    "target",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A row, what was read, and the seconds that this took."""

    row: Row
    reading: Reading
    seconds: float = 0.0

    @property
    def is_missed(self) -> bool:
        return not self.reading.absent and not self.row.target.is_reached(self.reading)

    @property
    def mark(self) -> str:
        if self.reading.absent:
            return ABSENT
        return MISSED if self.is_missed else REACHED


def in_order(figures: Iterable[Figure]) -> list[Figure]:
    """Return the missed ones first, the farthest from its target at the top, and the others as they were."""

    def place(figure: Figure) -> tuple[int, float]:
        if figure.reading.absent:
            return 1, 0.0
        if figure.is_missed:
            return 0, -figure.row.target.distance(figure.reading)
        return 2, 0.0

    return sorted(figures, key=place)


def cells(figure: Figure) -> tuple[str, ...]:
    """Return the cells of a row in a table."""
    row, reading = figure.row, figure.reading
    target = row.target.told(row.unit.partition("/")[0])
    start = (figure.mark, row.name, f"{reading.size:,}", row.limit, row.unit)
    if reading.absent:
        return (*start, "", "", "", "", reading.absent, target)
    return (
        *start,
        short(reading.lowest_limit),
        short(reading.lowest),
        f"{reading.ratio:.2f}",
        f"{reading.median_ratio:.2f}",
        row.target.against(reading, row.unit.partition("/")[0]),
        target,
    )


def table(figures: Iterable[Figure]) -> str:
    """Return the Markdown of the rows, the missed ones first and marked."""
    lines = [f"| {' | '.join(HEAD)} |", f"| {' | '.join(['---'] * 5 + ['---:'] * 6)} |"]
    lines += [f"| {' | '.join(cells(each))} |" for each in in_order(figures)]
    return "\n".join(lines)


def summary(figures: Iterable[Figure]) -> str:
    """Return how many rows there are and how many of them miss their targets."""
    found = list(figures)
    missed, absent = sum(each.is_missed for each in found), sum(bool(each.reading.absent) for each in found)
    rest = f", {absent} not measured" if absent else ""
    return f"{len(found)} rows: {missed} miss their target{rest}."
