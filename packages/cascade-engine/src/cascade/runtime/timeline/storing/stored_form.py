"""The form in which a store keeps the timeline of a run: names, numbers and times, in msgpack.

A drive is one process that drives the run. Each has a sum, which is written anew with later commits, and pieces with
its calls, which are written once. Of errors only the types are kept: their texts may hold values. All times are in
seconds from the beginning of the drive.

Source: https://msgpack.org.
"""

from __future__ import annotations

from typing import Final

import msgspec

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.views import Place

VERSION: Final = 1
"""The version of this form: one that is newer is not read."""

MOST_TASKS = 1_000
"""The sum of a drive has the figures of so many tasks, those that were met first."""
MOST_RUNNING = 100
"""The sum of a drive names so many of the calls that are under way."""
MOST_NODES = 2_000
"""The graph of a tree with more nodes is not kept."""


class StoredFigures(msgspec.Struct, array_like=True, frozen=True):
    """The figures of one task."""

    task: str
    known: int
    retries: int
    statuses: dict[Status, int]
    skips: dict[SkipReason, int]
    total: float
    shortest: float
    longest: float
    sketch: dict[int, int]
    is_looped: bool


class StoredFailure(msgspec.Struct, array_like=True, frozen=True):
    """The call that has failed last. With `retried`, another attempt followed."""

    place: Place
    task: str
    error: str
    retried: bool


class StoredSum(msgspec.Struct, array_like=True, frozen=True):
    """What is known of one drive. `at` is when it was written; `status` is `None` until the drive has ended.

    `more_tasks` have no figures here; `pieces` have calls; `dropped` calls are in none, for there was no room.
    """

    version: int
    began: float
    at: float
    ended: float | None
    status: Status | None
    inputs: tuple[str, ...]
    tasks: list[StoredFigures]
    more_tasks: int
    running: list[tuple[Place, str, float]]
    more_running: int
    waiting: list[tuple[str, str, int]]
    failure: StoredFailure | None
    pieces: int
    dropped: int
    cascade: str
    python: str


class StoredColumns(msgspec.Struct, array_like=True, frozen=True):
    """Calls that have succeeded at the first attempt, as the columns of `Columns`; tasks are numbers of names.

    Columns are numbers of 8 bytes, as little-endian machines order them: times as floats, all else as integers.
    """

    size: int
    tree: int | bytes
    node: int | bytes
    item: int | bytes | None
    task: int | bytes
    began: float | bytes
    ends: bytes
    queued: bytes | None
    worker: int | bytes


class StoredCall(msgspec.Struct, array_like=True, frozen=True):
    """One call. `task`, `status`, `worker` and `error`, which is the type of an error, are numbers of names."""

    place: Place
    task: int
    attempt: int
    queued: float
    began: float
    ended: float
    status: int
    worker: int
    error: int | None
    is_map: bool
    where: str | None


class StoredSkip(msgspec.Struct, array_like=True, frozen=True):
    """A call that was not made; `task` and `reason` are numbers of names."""

    place: Place
    task: int
    reason: int
    at: float


class StoredRetry(msgspec.Struct, array_like=True, frozen=True):
    """An attempt that another one followed."""

    place: Place
    task: int
    attempt: int
    at: float
    delay: float
    error: int


class StoredEdge(msgspec.Struct, array_like=True, frozen=True):
    """What a node waits for: another node, in which way, and for a route its key as text."""

    source: int
    target: int
    kind: str
    label: str = ""


class StoredStructure(msgspec.Struct, array_like=True, frozen=True):
    """What trees of one shape have in common. `names` are numbers of names.

    Either `inputs` has the nodes that each node takes values from, or `edges` what else it may wait for too.
    """

    number: int
    names: list[int]
    target: int
    inputs: list[tuple[int, ...]]
    edges: list[StoredEdge]


class StoredTree(msgspec.Struct, array_like=True, frozen=True):
    """Trees: the number of the first, the call in whose place it stands, its round, and the number of its structure.

    `count` trees follow each other, as rounds of one loop.
    """

    number: int
    call: Place | None
    round: int
    structure: int
    count: int


class StoredMap(msgspec.Struct, array_like=True, frozen=True):
    """A map and its size."""

    place: Place
    task: int
    size: int


class StoredRounds(msgspec.Struct, array_like=True, frozen=True):
    """A loop and how many rounds it has had."""

    call: Place | None
    rounds: int


class StoredPiece(msgspec.Struct, array_like=True, frozen=True):
    """Calls of one drive, and what else was told between two commits. `names` are those that this piece refers to."""

    names: list[str]
    columns: list[StoredColumns]
    calls: list[StoredCall]
    skips: list[StoredSkip]
    retries: list[StoredRetry]
    structures: list[StoredStructure]
    trees: list[StoredTree]
    maps: list[StoredMap]
    rounds: list[StoredRounds]
