"""Tables of `cascade timeline`: how long tasks took in two runs, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Self

from cascade.cli.tables.text_table import fitted_table
from cascade.graph.drawing.labels import short_time
from cascade.spec.terminal_text import shown


class TaskDifference(NamedTuple):
    """One task in two runs: how many calls, and how many seconds, in all and in the middle."""

    task: str
    calls: tuple[int, int]
    totals: tuple[float, float]
    medians: tuple[float, float]

    @classmethod
    def of(cls, task: str, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> Self:
        """Compare the figures of a task; one that a run does not have counts as no calls."""
        sides = [_NO_CALLS if each is None else each for each in (before, after)]
        calls, totals, medians = ((sides[0][name], sides[1][name]) for name in ("calls", "total", "median"))
        return cls(task, calls, totals, medians)

    @property
    def change(self) -> float:
        """How many seconds more the second run took for the task."""
        return self.totals[1] - self.totals[0]

    @property
    def word(self) -> str:
        """What happened to the task."""
        if not self.calls[0]:
            return "new"
        if not self.calls[1]:
            return "gone"
        ratio = self.medians[1] / self.medians[0] if self.medians[0] else 1.0
        if abs(ratio - 1) < _EQUAL:
            return "as before"
        return f"{ratio:.2f} x, {'slower' if ratio > 1 else 'faster'}"


_NO_CALLS: dict[str, Any] = {"calls": 0, "total": 0.0, "median": 0.0}

_EQUAL = 0.05
"""Medians of a timeline are exact to 3 percent, so a smaller difference says nothing."""

_HEAD = ("TASK", "CALLS", "MEDIAN", "TOTAL", "CHANGE", "A CALL IS")


def difference_table(found: Sequence[TaskDifference]) -> str:
    """Return the differences as a table: before and after in each cell."""
    rows = [
        (
            shown(each.task),
            _pair(*(f"{count:,}" for count in each.calls)),
            _pair(*map(short_time, each.medians)),
            _pair(*map(short_time, each.totals)),
            f"{'-' if each.change < 0 else '+'}{short_time(abs(each.change))}",
            each.word,
        )
        for each in found
    ]
    return fitted_table(_HEAD, rows, drop=("CALLS", "TOTAL"), broken=("TASK",))


def _pair(before: str, after: str) -> str:
    return before if before == after else f"{before} -> {after}"


def difference_json(found: Sequence[TaskDifference]) -> str:
    """Return the differences as JSON: a list with a row for each task; times are in seconds."""
    rows = [
        {
            "task": each.task,
            "calls": each.calls,
            "total": each.totals,
            "median": each.medians,
            "change": each.change,
            "verdict": each.word,
        }
        for each in found
    ]
    return json.dumps({"schema": 1, "tasks": rows}, indent=2)
