"""Catalogs: what runs a store holds and how far they came, without their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from cascade.adapters.state.checked import count, moment, text
from cascade.adapters.state.journal import Kind
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import RunStatus


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a store. `began` and `updated` are seconds since the epoch; `error` is the kind of error, if any.

    `driver` says who drives the run at this moment; it is empty for a run that nobody drives. One that has the status
    `running` and no driver was interrupted. `rules` is the version of the rules that its digests are made by: a run of
    other rules than `DIGEST_RULES` can be looked at, and can't go on. A run whose own data can't be read has the status
    `DAMAGED`, and is listed among the others.
    """

    run_id: str
    status: RunStatus
    task: str
    round: int
    began: float
    updated: float
    error: str
    driver: str
    facts: int
    size: int
    rules: int = DIGEST_RULES

    @property
    def is_interrupted(self) -> bool:
        """Whether the run has not ended, and nobody drives it."""
        return self.status is RunStatus.RUNNING and not self.driver


def summary_of(
    run_id: object,
    status: object,
    task: object,
    number: object,
    began: object,
    updated: object,
    error: object,
    rules: object,
    driver: str,
    facts: int,
    size: int,
) -> RunSummary:
    """Return what a store tells of a run.

    Raises:
        ValueError: If a part of it is not what is stored there.
    """
    return RunSummary(
        text(run_id),
        RunStatus(text(status)),
        text(task),
        count(number),
        moment(began),
        moment(updated),
        text(error),
        driver,
        facts,
        size,
        count(rules),
    )


def damaged_summary(run_id: object, driver: str, facts: int = 0, size: int = 0) -> RunSummary:
    """Return what is told of a run whose own data can't be read: that it is there, so that it can be deleted."""
    return RunSummary(str(run_id), RunStatus.DAMAGED, "", 0, 0.0, 0.0, "", driver, facts, size)


@dataclass(frozen=True, slots=True)
class FactSummary:
    """One fact of a run: what it is of, when it was committed, and the bytes that it takes."""

    round: int
    task: str
    place: str
    kind: Kind
    at: float
    size: int


class Catalog(Protocol):
    """The runs of one store. Looking decodes no value and runs no code of the store's."""

    def runs(self) -> list[RunSummary]:
        """Return all runs, the last updated first."""

    def facts(self, run_id: str) -> list[FactSummary]:
        """Return what is recorded of a run, in the order of rounds, then of time.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunDamagedError: If what is told of it can't be read.
        """

    def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunActiveError: If somebody drives it.
        """

    def close(self) -> None:
        """Let go of the store."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at, and how it is; `remedy` says what to do, and is empty where all is well."""

    subject: str
    told: str
    remedy: str = ""


@runtime_checkable
class Inspectable(Protocol):
    """A catalog that can tell how its store is."""

    def inspect(self) -> list[Finding]:
        """Look at the store as a whole: its version, whether it is sound, what its commits survive.

        Raises:
            StoreError: If it can't be read.
        """
