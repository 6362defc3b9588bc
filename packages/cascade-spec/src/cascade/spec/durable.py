"""Durable state: the protocol of a backend that keeps a run's facts beyond the process, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from cascade.spec.protocols import FactFrame, FactKey, StateBackend

if TYPE_CHECKING:
    from cascade.spec.lazy_types import Lazy


class Note(StrEnum):
    """A fact of a node beside its value: which routes its routers took, how many items its map has."""

    ROUTES = "routes"
    SIZE = "size"


class RunStatus(StrEnum):
    """What became of a recorded run. One that is `RUNNING` and driven by nobody was interrupted.

    `DAMAGED` stands in no store: it is told of a run whose own data can't be read.
    """

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DAMAGED = "damaged"

    @classmethod
    def _missing_(cls, value: object) -> RunStatus | None:
        return cls.CANCELLED if value == "stopped" else None  # as Cascade 0.1 wrote it


class FactLabel(NamedTuple):
    """What a recorded fact is of, for people who look at the store: the task's name, and the node's path as text."""

    task: str
    place: str


class NextRound(NamedTuple):
    """The next round of a tail-call loop: its number, from 0, and the lazy result that it runs."""

    round: int
    target: Lazy


class CodeRecord(NamedTuple):
    """Which code a task had: where the task is found, and its code version."""

    module: str
    qualname: str
    version: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run was begun with, as digests: a run that is resumed must have been begun with the same.

    `code` covers every task that the run has met, `inputs` holds a digest of each input by its name, `nodes` one of
    each node of the first tree by the digest of its place. `salt` keeps the digests of inputs from being looked up.
    `rules` is the version of the rules that all these digests were made by.
    """

    target: str
    structure: str
    code: tuple[CodeRecord, ...]
    inputs: dict[str, bytes]
    nodes: dict[bytes, bytes]
    salt: bytes
    rules: int


@runtime_checkable
class DurableStateBackend(StateBackend, Protocol):
    """The facts of one run, kept beyond it: gets read memory, puts are buffered until `commit`.

    The facts are those of `run_id`: who opens them again finds what was committed. What is put by the methods of
    `StateBackend` is for this process only.

    What is put or cleared with `provisional=True` can be read at once, as all else, but is not committed before
    `keep_provisional` has made it final: until then who opens the run again finds what was there without it. It is
    what rests on a resource that may still undo it. A later fact in the same place takes its place, provisional or not.
    """

    async def open(self, anew: bool = False) -> RunRecord | None:
        """Take the run for this process and load its facts; return its record, `None` for a run that is new.

        With `anew` the run is to begin anew: nothing that is stored of it is read, however damaged it is, and `begin`
        is called next.

        Raises:
            RunActiveError: If another process, or another run of this one, drives it.
            RunRulesError: If another version has recorded it, by other rules for digests.
            StoreError: If the store can't be read or written.
        """

    def begin(self, record: RunRecord) -> None:
        """Forget all facts, stored ones too, and begin with this record."""

    def put_record(self, record: RunRecord) -> None:
        """Replace the record and keep the facts; the run goes on."""

    def keep_result(self, key: FactKey, value: object, call: FactLabel, *, provisional: bool = False) -> None:
        """Note a value that is to be kept as it is now.

        Raises:
            CodecError: If it can't be.
        """

    def keep_skip(self, key: FactKey, reason: str, call: FactLabel, *, provisional: bool = False) -> None:
        """Note a skip that is to be kept."""

    def put_note(
        self,
        key: FactKey,
        note: Note,
        numbers: tuple[int, ...],
        call: FactLabel,
        *,
        provisional: bool = False,
    ) -> None:
        """Note numbers beside a node's value."""

    def get_note(self, key: FactKey, note: Note) -> tuple[int, ...] | None:
        """Return what was noted, if anything was."""

    def put_target(
        self, key: FactKey | None, pending: NextRound, call: FactLabel, *, provisional: bool = False
    ) -> None:
        """Note what the loop in the place of a node goes on with; in that of the run itself if `key` is `None`.

        Raises:
            CodecError: If a literal of the target can't be kept.
            TaskReferenceError: If a task of the target can't be found by its reference.
        """

    def get_target(self, key: FactKey | None) -> NextRound | None:
        """Return what the loop goes on with, if it was noted."""

    def clear(self, frame: FactFrame | None = None, *, provisional: bool = False) -> None:
        """Forget what lies below `frame`, or everything.

        Provisionally only for this process, with all that is provisional there; in the store once that is made final.
        """

    def discard(self, key: FactKey) -> None:
        """Forget all facts of a node, stored ones too, and those of the frames in its place."""

    def holds(self, frame: FactFrame) -> bool:
        """Return whether facts of a frame were loaded."""

    def finish(self, status: RunStatus, error: str) -> None:
        """Note how the run has ended: the kind of error if it failed."""

    def keep_provisional(self) -> None:
        """Make all that is provisional final: the next commit has it."""

    async def commit(self) -> None:
        """Make all that was put so far durable, all of it or nothing.

        Raises:
            StoreError: If the store can't be written, or the run is no longer this process's own.
        """

    async def close(self) -> None:
        """Let go of the run and of the store; what was not committed is lost."""
