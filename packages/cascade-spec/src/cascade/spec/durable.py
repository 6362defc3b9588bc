"""Durable state: the protocol of a backend that keeps the facts of a run beyond the process, and those facts."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.protocols import FactFrame, FactKey, StateBackend

if TYPE_CHECKING:
    from cascade.spec.lazy_types import Lazy


class Note(StrEnum):
    """The kinds of facts that a node has beside its value: the routes that its routers took, the length of its map."""

    ROUTES = "routes"
    SIZE = "size"


class RunStatus(StrEnum):
    """How a recorded run has ended. A run that is `RUNNING` and driven by no process was interrupted.

    One that is `WAITING` was interrupted too, and can't go on before something is there that it needs: a secret.
    One that is `ABANDONED` was interrupted again and again without getting on: only who resumes it by hand goes on.
    `DAMAGED` is in no store: it is reported for a run whose own data can't be read.
    """

    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    DAMAGED = "damaged"

    @classmethod
    def _missing_(cls, value: object) -> RunStatus | None:
        return cls.CANCELLED if value == "stopped" else None  # as Cascade 0.1 wrote it


OPEN = (RunStatus.RUNNING, RunStatus.WAITING)
"""How a run is that has not ended."""


class FactLabel(NamedTuple):
    """What a recorded fact is of, for people who look at the store: the task's name, and the node's path as text."""

    task: str
    place: str


class NextRound(NamedTuple):
    """The next round of a tail-call loop: its number, from 0, and the lazy result that it runs."""

    round: int
    target: Lazy


class Takes(NamedTuple):
    """How many processes have taken a run over and were interrupted, since its store had what `mark` stands for."""

    number: int
    mark: bytes


NO_TAKES = Takes(0, b"")


class CodeRecord(NamedTuple):
    """The code of a task at the time of a run: where the task is found, and its code version."""

    module: str
    qualname: str
    version: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """Digests of what a run was begun with. A run can be resumed only with the same.

    `code` has an entry for every task of the run so far. `inputs` has a digest of each input by its name, and `nodes` a
    digest of each node of the first tree by the digest of its path. `salt` is part of the digests of inputs, so that
    nobody can look them up in a table. `rules` is the version of the rules for all these digests.
    `trace` names the first span of the run, as W3C trace context, if there is one. `values` is the folder of the run's
    large values in a value store, empty if it has none. `left` are such folders of earlier runs of its id that nobody
    has removed: it was begun anew without that value store. The state backend puts both there.
    """

    target: str
    structure: str
    code: tuple[CodeRecord, ...]
    inputs: dict[str, bytes]
    nodes: dict[bytes, bytes]
    salt: bytes
    rules: int
    trace: dict[str, str] = field(default_factory=dict)
    values: str = ""
    left: tuple[str, ...] = ()


@runtime_checkable
class DurableStateBackend(StateBackend, Protocol):
    """The facts of one run, kept beyond the process. Reads use memory, writes are buffered until `commit`.

    The run is known by its `run_id`: another process that opens it finds what was committed. What the methods of
    `StateBackend` put is for this process only.

    What is put or cleared with `provisional=True` can be read at once, but is not committed before `keep_provisional`:
    until then another process that opens the run finds the facts as they were. A call's facts are provisional while a
    resource that it used may still undo what it did. A later fact under the same key replaces the earlier one,
    provisional or not.

    A backend may have an attribute `knows_scalars` and a method `keep_results(frame, nodes, values, calls)`. If the
    former is true, the latter notes many values of one frame as `keep_result` does: scalars of Python's own, of nodes
    that are given by the digests of their paths.

    A backend whose runs may keep their inputs has the methods `seal_inputs(inputs)`, which returns bytes or raises a
    `KeptInputError`, and `keep_inputs(sealed)`, which notes them. For runs to be taken over it also has
    `wait_for(what)`, which notes that the run waits for something, `wait_no_more()`, which notes that this is there,
    `abandon(error)`, which notes that nobody takes it over any more, `found_status`, how the run was when this process
    opened it, and `found_mark()`, which returns bytes that are the same as long as nothing new is recorded.
    """

    async def open(self, anew: bool = False) -> RunRecord | None:
        """Take the run for this process and load its facts; return its record, `None` for a run that is new.

        With `anew` the run begins anew: none of its stored facts are read, so they may be damaged. `begin` must be
        called next.

        Raises:
            RunActiveError: If another process, or another run of this process, drives it.
            RunRulesError: If another version has recorded it, by other rules for digests.
            StoreError: If the store can't be read or written.
        """

    def begin(self, record: RunRecord) -> None:
        """Forget all facts, stored ones too, and begin with this record."""

    def put_record(self, record: RunRecord) -> None:
        """Replace the record and keep the facts; the run goes on."""

    def keep_result(self, key: FactKey, value: object, call: FactLabel, *, provisional: bool = False) -> None:
        """Note the value of a node as it is now; it is kept beyond the process.

        Raises:
            CodecError: If the codec can't turn it into bytes.
        """

    def keep_skip(self, key: FactKey, reason: str, call: FactLabel, *, provisional: bool = False) -> None:
        """Note that a node is skipped, and why; it is kept beyond the process."""

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
        """Return what `put_note` noted; `None` if it noted nothing."""

    def put_target(
        self, key: FactKey | None, pending: NextRound, call: FactLabel, *, provisional: bool = False
    ) -> None:
        """Note the next round of the tail-call loop of a node; of the run itself if `key` is `None`.

        Raises:
            CodecError: If a literal of the target can't be kept.
            TaskReferenceError: If a task of the target can't be found by its reference.
        """

    def get_target(self, key: FactKey | None) -> NextRound | None:
        """Return what `put_target` noted; `None` if it noted nothing."""

    def clear(self, frame: FactFrame | None = None, *, provisional: bool = False) -> None:
        """Forget what lies below `frame`, or everything.

        If `provisional`, at first for this process only; stored facts are deleted after `keep_provisional`.
        """

    def discard(self, key: FactKey) -> None:
        """Forget all facts of a node, also stored ones, and those of the frames below it."""

    def holds(self, frame: FactFrame) -> bool:
        """Return whether facts of a frame were loaded."""

    def finish(self, status: RunStatus, error: str) -> None:
        """Note how the run has ended; `error` is the class name of the error, or empty."""

    def keep_provisional(self) -> None:
        """Make all provisional facts final: the next commit writes them."""

    async def commit(self) -> None:
        """Write all that was put so far to the store, in one transaction.

        Raises:
            StoreError: If the store can't be written, or the run is no longer this process's own.
        """

    async def close(self) -> None:
        """Release the run and the store; what was not committed is lost."""
