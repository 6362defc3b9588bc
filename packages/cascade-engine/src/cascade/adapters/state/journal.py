"""Journals: where a durable state backend writes, one whole batch of changes at a time."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.spec.durable import FactLabel, RunStatus
from cascade.spec.inputs.words import parse_word
from cascade.spec.late_dataclasses import dataclass, field

ANSWER_SECONDS = 4.5
"""How long a journal may take to answer: an error has to be raised within 5 seconds."""


class Durability(StrEnum):
    """What a commit survives: `SYNC` the loss of power, `ASYNC` the end of the process."""

    SYNC = "sync"
    ASYNC = "async"

    @classmethod
    def of(cls, given: str) -> Durability:
        """Return the durability of this name.

        Raises:
            PolicyError: If there is none.
        """
        return parse_word(cls, "durability", given)


class Kind(IntEnum):
    """What a fact says about its node. One of kind `FRAME` says only that there are facts below its frame."""

    RESULT = 0
    SKIP = 1
    ROUTES = 2
    SIZE = 3
    TARGET = 4
    FRAME = 5


class Fact(NamedTuple):
    """One fact as it is stored. `call` is for people who look at the store; the engine does not read it."""

    place: NodeDigest
    kind: Kind
    value: bytes
    call: FactLabel


class TimelinePart(NamedTuple):
    """A piece of the timeline of a run, as bytes that only the engine reads: names, numbers and times, no values.

    `drive` tells apart the processes that have driven the run, one after another: it is when each took it, in
    microseconds since the epoch. Part 0 of a drive sums it up, and is replaced by a later one; the parts after it have
    its calls, and stay. `at` is when the part was committed, in seconds since the epoch; it is 0 before that.
    """

    drive: int
    number: int
    data: bytes
    at: float = 0.0


KEPT_DRIVES = 8
"""The timelines of so many drives of a run are kept, the last ones."""


@dataclass(slots=True)
class Head:
    """The run as a whole; `None` leaves the stored value unchanged.

    `record` is what the run was begun with, and `target` what its own loop goes on with, both as bytes. `rules` is the
    version of the rules by which the digests in them are made. `inputs` are the values of its parameters and its
    workflow, as bytes, of a run that keeps them; a journal deletes them when the run has succeeded. `waits_for` says
    what a run that is `WAITING` waits for.
    """

    status: RunStatus | None = None
    task: str | None = None
    record: bytes | None = None
    round: int | None = None
    target: bytes | None = None
    error: str | None = None
    rules: int | None = None
    inputs: bytes | None = None
    waits_for: str | None = None

    def replace(self, later: Head) -> None:
        """Change what a later head changes."""
        for name in self.__slots__:
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)


@dataclass(slots=True)
class Changes:
    """One batch, which is written as a whole. Applied in this order, it may be applied twice.

    `anew` deletes all that is stored of the run, `rounds` the facts of all rounds up to that one, `frames` those of
    single frames, and `nodes` those of single nodes. Then `facts` are put; each replaces one of its node and kind. So
    do the parts of the `timeline`. A journal need not keep these; one that does keeps the last `KEPT_DRIVES` drives.
    """

    anew: bool = False
    rounds: int | None = None
    frames: list[FrameDigest] = field(default_factory=list)
    nodes: list[NodeDigest] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    head: Head = field(default_factory=Head)
    timeline: list[TimelinePart] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a journal holds of a run."""

    head: Head
    facts: list[tuple[NodeDigest, Kind, bytes]]


class Journal(Protocol):
    """The part of a store that belongs to one run. A write is durable and whole when it returns, or has no effect.

    Each call ends within `ANSWER_SECONDS`, with a `StoreError` if the store does not answer. Only `open` may wait
    longer, until somebody else's claim on the run ends. A call that takes longer is cancelled. It may then stop, or, if
    a thread does the work, go on to its end and return as if it had not been cancelled.

    If the claim of a journal on the run ends by itself, the journal has two methods more: `is_held()` tells whether it
    has not ended yet, by the clock of this process, and async `confirm()` renews it or raises a `RunLostError`. The
    engine asks before it makes calls: so a process that was suspended makes none for a run that another one drives.

    A journal may have a method `write_now`, which writes a batch before it returns true, or returns false and writes
    nothing. It is for short batches that take less time than a turn of the event loop, which waits meanwhile.

    It may have a method `write_soon`, which begins to write a batch and returns a future of whether that is written, or
    begins nothing and returns `None`. Such a write needs no asyncio task. If it turns out not to be written, the same
    batch is given to `write`. The next call of the journal comes when the future is done.

    A journal may have an attribute `store`, the name of the store in errors: its path or address, without a password.
    """

    async def open(self, anew: bool = False) -> Loaded | None:
        """Take the run for this journal alone, and return what is stored of it; `None` if nothing is.

        With `anew` nothing is read, since the first write deletes all that is stored; then it returns `None`.

        Raises:
            RunActiveError: If somebody else has taken it and lives.
            RunDamagedError: If what is stored is not what was written.
            StoreError: If the store can't be read.
        """

    async def write(self, changes: Changes) -> None:
        """Write a batch.

        Raises:
            StoreError: If it can't be written, or the run has been taken by somebody else.
        """

    async def close(self) -> None:
        """Give up the run, and close files and connections."""
