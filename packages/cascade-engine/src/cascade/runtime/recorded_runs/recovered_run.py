"""Recovered runs: what has become of each run that was to be taken over."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from cascade.spec.durable import RunStatus
from cascade.spec.errors import StoreError
from cascade.spec.late_dataclasses import dataclass


class RecoveryOutcome(StrEnum):
    """What has become of a run that was to be taken over.

    - `SUCCEEDED`, `FAILED`, `CANCELLED`: it went on and has ended so.
    - `WAITING`: a secret is missing; the store says which one.
    - `REFUSED`: it can't go on here, and is left as it was: its workflow is not imported, or something has changed.
    - `ABANDONED`: it was interrupted again and again without getting on, and is left alone from now on.
    - `TAKEN`: another process was quicker.
    - `LEFT`: it went on and has not ended: its store failed, or the engine was closed. It is interrupted again.
    """

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    WAITING = "waiting"
    REFUSED = "refused"
    ABANDONED = "abandoned"
    TAKEN = "taken"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class RecoveredRun:
    """What has become of one run. `error` is what it failed with, what refused it, or what it waits for."""

    run_id: str
    outcome: RecoveryOutcome
    error: BaseException | None = None


Told: TypeAlias = Callable[[RecoveredRun | StoreError], None]
"""Is told what becomes of each run, and that the store could not be looked at."""


class Driven(NamedTuple):
    """How it went to go on with a run.

    `opened` says whether it has become this process's own, `ended` how it has ended in its store, if it has.
    """

    opened: bool
    ended: RunStatus | None
    error: BaseException | None
