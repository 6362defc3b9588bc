"""Catalogs: which runs a store has and how far they came, without their values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

from cascade.adapters.state.checked import count, moment, text
from cascade.adapters.state.journal import Kind, TimelinePart
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import OPEN, RunStatus
from cascade.spec.errors import SpecError
from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run of a store.

    `began` and `updated` are seconds since the epoch. `error` is the type of the error that ended the run, if any.
    `facts` counts its facts, and `size` the bytes that are stored of it.

    `driver` names the process that drives the run now; it is empty if none does. A run that has the status `running`
    and no driver was interrupted. `waits_for` says what a run that is `WAITING` waits for: a secret, by its name.

    `rules` is the version of the rules that its digests are made by: a run of other rules than `DIGEST_RULES` can be
    shown, and can't go on. A run whose own data can't be read has the status `DAMAGED`.
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
    waits_for: str = ""

    @property
    def is_interrupted(self) -> bool:
        """Whether the run has not ended and no process drives it."""
        return self.status is RunStatus.RUNNING and not self.driver

    @property
    def is_open(self) -> bool:
        """Whether the run has not ended: somebody drives it, it was interrupted, or it waits."""
        return self.status in OPEN


def summary_of(columns: Sequence[object], driver: str, facts: int, size: int) -> RunSummary:
    """Return the summary of a run from what a store has of it.

    `columns` are the run's id, status, task, round, begin, last update, error, version of rules and what it waits for.

    Raises:
        ValueError: If one of these is not what is stored there.
    """
    run_id, status, task, number, began, updated, error, rules, waits_for = columns
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
        text(waits_for),
    )


def damaged_summary(run_id: object, driver: str, facts: int = 0, size: int = 0) -> RunSummary:
    """Return the summary of a run whose own data can't be read. It is listed, so that it can be deleted."""
    return RunSummary(str(run_id), RunStatus.DAMAGED, "", 0, 0.0, 0.0, "", driver, facts, size)


@dataclass(frozen=True, slots=True)
class FactSummary:
    """One fact of a run. `at` is when it was committed, in seconds since the epoch; `size` is in bytes."""

    round: int
    task: str
    place: str
    kind: Kind
    at: float
    size: int


class RunPage(NamedTuple):
    """Some runs of a store, the last updated first, and how many there are in all.

    Their facts are not counted, since that takes long: `facts` and `size` are 0.
    """

    runs: list[RunSummary]
    total: int


class FactPage(NamedTuple):
    """Some facts of a run, in the order of the store. `after` names the last one; it is `None` if no more follow."""

    facts: list[FactSummary]
    after: str | None


def mark_of(number: int, frame: bytes, node: bytes, kind: int) -> str:
    """Return the text that stands for a fact on a page."""
    return f"{number}.{bytes(frame).hex()}.{bytes(node).hex()}.{kind}"


def mark_from(mark: str) -> tuple[int, bytes, bytes, int]:
    """Return the round, frame, node and kind of a fact.

    Raises:
        SpecError: If the text stands for none.
    """
    try:
        number, frame, node, kind = mark.split(".")
        return int(number), bytes.fromhex(frame), bytes.fromhex(node), int(kind)
    except ValueError:
        raise SpecError(f"after={mark!r}", "give the mark of an earlier page") from None


class Catalog(Protocol):
    """The runs of one store. Its methods decode no value, and run no code from the store."""

    def runs(self) -> list[RunSummary]:
        """Return all runs, the last updated first."""

    def run_page(self, first: int, count: int) -> RunPage:
        """Return so many runs, the last updated first, from a number on that counts from 0."""

    def find(self, run_id: str, *, counted: bool = True) -> RunSummary:
        """Return one run. Unless its facts are to be `counted`, which may take long, `facts` and `size` may be 0.

        Raises:
            RunNotFoundError: If the store has no such run.
        """

    def fact_page(self, run_id: str, after: str | None, count: int) -> FactPage:
        """Return about so many facts of a run: the first ones, or those that follow on an earlier page.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunDamagedError: If its data can't be read.
            SpecError: If `after` comes from no page of this store.
        """

    def facts(self, run_id: str) -> list[FactSummary]:
        """Return what is recorded of a run, in the order of rounds, then of time.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunDamagedError: If its data can't be read.
        """

    def timeline(self, run_id: str, *, sums: bool = False) -> list[TimelinePart]:
        """Return the parts of a run's timeline, by drive and number; none of a run that an older version recorded.

        With `sums` only those that sum up a drive, which are short.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunDamagedError: If they can't be read.
        """

    def recoverable(self) -> list[RunSummary]:
        """Return the runs that another process may go on with, those that were updated last at the end.

        They have kept their inputs, have not ended, and nobody drives them. Their facts are not counted.
        """

    def inputs(self, run_id: str) -> bytes | None:
        """Return what a run has kept of its inputs, encoded; `None` if it has kept nothing, or is not there."""

    def record(self, run_id: str) -> bytes | None:
        """Return the record of a run, encoded; `None` if it has none, or is not there."""

    def delete(self, run_id: str) -> None:
        """Forget a run.

        Raises:
            RunNotFoundError: If the store has no such run.
            RunActiveError: If somebody drives it.
        """

    def close(self) -> None:
        """Close the store."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check: `subject` is what was checked, `told` how it is.

    `remedy` says what to do; it is empty if all is well.
    """

    subject: str
    told: str
    remedy: str = ""


@runtime_checkable
class Inspectable(Protocol):
    """A catalog that can check its store."""

    def inspect(self) -> list[Finding]:
        """Check the store as a whole: its version, whether it is sound, what its commits survive.

        Raises:
            StoreError: If it can't be read.
        """
