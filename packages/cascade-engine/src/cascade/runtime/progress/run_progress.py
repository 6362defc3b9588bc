"""The progress of a run: one snapshot of how far it has come, as data.

Displays are given such snapshots and nothing else. They are made from the timeline of a run that goes on here
(`timeline_progress`), or from what a store has of a run that goes on elsewhere. They hold names, numbers and the texts
of errors, and no values.
"""

from __future__ import annotations

from cascade.runtime.events import Status
from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """How far the calls of one task have come; the items of its maps and the rounds of its loops are all counted.

    `done` calls have ended or will not be made; `failed`, `skipped` and `cached` are among them. The value of a
    `cached` call was there, in the cache or in the record of the run. `total` is how many are known of so far, or
    `None` where nobody knows. `running` calls are under way. `retried` counts attempts that were followed by another.

    The `timed` calls took `seconds` together. Those are all that were made, or a part of them where to time each one
    would have slowed the run.
    """

    task: str
    done: int = 0
    total: int | None = None
    running: int = 0
    failed: int = 0
    skipped: int = 0
    cached: int = 0
    retried: int = 0
    timed: int = 0
    seconds: float = 0.0

    @property
    def made(self) -> int:
        """How many calls were made and have ended."""
        return self.done - self.skipped - self.cached

    @property
    def mean(self) -> float | None:
        """The seconds that a call takes on average; `None` if none was timed."""
        return self.seconds / self.timed if self.timed else None


@dataclass(frozen=True, slots=True)
class Waiting:
    """So many `calls` of a task wait for the same: `reason` says for what."""

    task: str
    reason: str
    calls: int = 1


@dataclass(frozen=True, slots=True)
class CallFailure:
    """A call failed: its id and its task, and the text of the error. With `retried`, another attempt follows."""

    task: str
    id: str
    error: str
    retried: bool = False


@dataclass(frozen=True, slots=True)
class SlowCall:
    """A call that took long: its id, its task and its seconds."""

    task: str
    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class RunProgress:
    """How far a run has come.

    `elapsed` is in seconds since its beginning, up to its end if it has one. `status` is `None` while it goes on;
    `error` is the text of what it has raised. `tasks` stand in the order in which they came up. `waiting` tells what
    calls wait for, `last_failure` what failed last, `slowest` which of the timed calls took longest, the longest first.
    """

    run_id: str
    elapsed: float
    status: Status | None = None
    tasks: tuple[TaskProgress, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    last_failure: CallFailure | None = None
    slowest: tuple[SlowCall, ...] = ()
    error: str | None = None

    @property
    def done(self) -> int:
        """How many calls have ended or will not be made."""
        return sum(task.done for task in self.tasks)

    @property
    def total(self) -> int | None:
        """How many calls are known of so far; `None` where nobody knows."""
        totals = [task.total for task in self.tasks if task.total is not None]
        return sum(totals) if len(totals) == len(self.tasks) else None
