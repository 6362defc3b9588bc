"""Timeline saving: what of a run's timeline goes into its store, and how it is written there."""

from __future__ import annotations

import platform
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from itertools import islice

import msgspec

from cascade.graph.plain_structure import PlainStructure
from cascade.graph.tree import Structure
from cascade.runtime.events import Status
from cascade.runtime.timeline.entries import Columns, OneCall, columns_of
from cascade.runtime.timeline.figures import TaskFigures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.storing.stored_form import (
    MOST_NODES,
    MOST_RUNNING,
    MOST_TASKS,
    VERSION,
    StoredCall,
    StoredColumns,
    StoredEdge,
    StoredFailure,
    StoredFigures,
    StoredMap,
    StoredPiece,
    StoredRetry,
    StoredRounds,
    StoredSkip,
    StoredStructure,
    StoredSum,
    StoredTree,
)
from cascade.runtime.timeline.timeline_graphs import links_of
from cascade.runtime.timeline.unsaved import Unsaved
from cascade.runtime.timeline.views import Call, Place, Retry, TreeView

MOST_BYTES = 4 * 2**20
"""The pieces of one drive have so many bytes at most; what comes after is counted in its sum."""

MOST_TEXT = 500
"""A place has so many characters at most."""

_encode = msgspec.msgpack.Encoder().encode


@cache
def _version() -> str:
    return version("cascade-engine")


class TimelineSaving:
    """Makes the parts of one drive's timeline, as bytes."""

    def __init__(self, run: RunTimeline) -> None:
        self._run = run
        self.began = run.began
        self._structures: dict[
            int, tuple[int, Structure]
        ] = {}  # by id, which the structure keeps from being used anew
        self._room = MOST_BYTES
        self._dropped = 0
        self.pieces = 0

    @property
    def waiting(self) -> int:
        """How many calls and skips were told since the last piece, those that are joined at the moment left out."""
        unsaved = self._run.unsaved
        return 0 if unsaved is None else unsaved.size

    def take_piece(self) -> bytes | None:
        """Return what was told since the last time; `None` if nothing was, or there is no room for it."""
        self._run.figures  # noqa: B018 - brings in the calls that were joined
        unsaved, self._run.unsaved = self._run.unsaved, Unsaved()
        if unsaved is None or unsaved == Unsaved():
            return None
        if self._room > 0:
            data = _encode(_Piece(self._run, self._structures).made(unsaved))
            if len(data) <= self._room:
                self._room -= len(data)
                self.pieces += 1
                return data
        self._room = 0  # what is shown is the beginning, without gaps
        self._dropped += unsaved.size
        return None

    def sum(self, at: float, status: Status | None) -> bytes:
        """Return the sum of the drive at a time; `status` says how it has ended, if it has."""
        run = self._run
        running = run.running()
        figures = run.tasks()
        shown = [_figures(each) for each in islice(figures.values(), MOST_TASKS)]
        return _encode(
            StoredSum(
                version=VERSION,
                began=run.began_at.timestamp(),
                at=at - run.began,
                ended=None if status is None else at - run.began,
                status=status,
                inputs=tuple(map(_whole, run.inputs)),
                tasks=shown,
                more_tasks=len(figures) - len(shown),
                running=[
                    (each.place, _whole(each.task), each.began - run.began) for each in running[:MOST_RUNNING]
                ],
                more_running=max(0, len(running) - MOST_RUNNING),
                waiting=_waiting(run),
                failure=_failure(run),
                pieces=self.pieces,
                dropped=self._dropped,
                cascade=_version(),
                python=platform.python_version(),
            )
        )


class _Piece:
    """Puts together one piece; names are numbered in the order in which they come."""

    def __init__(self, run: RunTimeline, structures: dict[int, tuple[int, Structure]]) -> None:
        self._began = run.began
        self._structures = structures
        self._new: list[StoredStructure] = []
        self._names: dict[str, int] = {}

    def made(self, unsaved: Unsaved) -> StoredPiece:
        columns, calls, skips = [], [], []
        plain: dict[bool, list[OneCall]] = {}
        for entry in unsaved.entries:
            if type(entry) is OneCall and entry.is_plain:
                plain.setdefault(entry.place[2] is None, []).append(entry)
                continue
            found = entry.columns()
            if found is not None:
                columns.append(self._columns(found))
            else:
                calls += [self._call(call) for call in entry.calls()]
            skips += [
                StoredSkip(
                    skip.place, self._name(skip.task), self._name(skip.reason.value), self._at(skip.at)
                )
                for skip in entry.skips()
            ]
        columns += [self._columns(columns_of(entries)) for entries in plain.values()]
        trees = [*unsaved.trees, *(tree for entry in unsaved.entries for tree in entry.trees())]
        return StoredPiece(
            columns=columns,
            calls=calls,
            skips=skips,
            retries=[
                StoredRetry(
                    each.place, self._name(each.task), each.attempt, self._at(each.at), each.delay,
                    self._name(each.error_type),
                )
                for each in unsaved.retries
            ],
            trees=[*self._trees(trees)],
            structures=self._new,
            maps=[StoredMap(each.place, self._name(each.task), each.size) for each in unsaved.maps],
            rounds=[
                StoredRounds(call, rounds)
                for call, rounds in unsaved.rounds.items()
            ],
            names=[*self._names],
        )  # fmt: skip

    def _name(self, text: str) -> int:
        return self._names.setdefault(_whole(text), len(self._names))

    def _at(self, moment: float) -> float:
        return moment - self._began

    def _columns(self, found: Columns) -> StoredColumns:
        # Once per stretch of calls, and not per call: a view of each call would take longer than the call is recorded.
        began = self._began
        tree, node, item, task, begins, ends, queued, worker = found
        return StoredColumns(
            len(ends),
            tree if isinstance(tree, int) else _integers(tree),
            node if isinstance(node, int) else _integers(node),
            item if item is None or isinstance(item, int) else _integers(item),
            self._name(task) if isinstance(task, str) else _integers([*map(self._name, task)]),
            begins - began if isinstance(begins, float) else _floats([each - began for each in begins]),
            _floats([each - began for each in ends]),
            None if queued is None else _floats([each - began for each in queued]),
            self._name(worker) if isinstance(worker, str) else _integers([*map(self._name, worker)]),
        )

    def _call(self, call: Call) -> StoredCall:
        return StoredCall(
            call.place, self._name(call.task), call.attempt,
            self._at(call.queued), self._at(call.began), self._at(call.ended),
            self._name(call.status.value), self._name(call.worker),
            None if call.error_type is None else self._name(call.error_type), call.is_map,
            None if call.where is None else _whole(call.where[:MOST_TEXT]),
        )  # fmt: skip

    def _trees(self, trees: Iterable[TreeView]) -> Iterator[StoredTree]:
        first: TreeView | None = None
        known: tuple[Place | None, int, int] = (None, 0, 0)
        count = 0
        for tree in trees:
            structure = tree.structure
            if len(structure) > MOST_NODES:
                continue
            if id(structure) not in self._structures:
                self._structures[id(structure)] = len(self._structures), structure
                self._new.append(self._structure(tree))
            number = self._structures[id(structure)][0]
            following = (tree.call, number, tree.number - tree.round)
            if first is not None and following == known and tree.number == first.number + count:
                count += 1
                continue
            if first is not None:
                yield StoredTree(first.number, first.call, first.round, known[1], count)
            first, known, count = tree, following, 1
        if first is not None:
            yield StoredTree(first.number, first.call, first.round, known[1], count)

    def _structure(self, tree: TreeView) -> StoredStructure:
        structure = tree.structure
        is_plain = isinstance(structure, PlainStructure)
        return StoredStructure(
            self._structures[id(structure)][0],
            [self._name(name) for name in tree.names],
            structure.target,
            structure.dependencies() if is_plain else [],
            [] if is_plain else [StoredEdge(*link[:3], _whole(link.label)) for link in links_of(structure)],
        )


def _figures(figures: TaskFigures) -> StoredFigures:
    return StoredFigures(
        _whole(figures.task),
        figures.known,
        figures.retries,
        figures.by_status,
        figures.skips,
        figures.total,
        figures.shortest,
        figures.longest,
        figures.sketch,
        figures.is_looped,
    )


def _waiting(run: RunTimeline) -> list[tuple[str, str, int]]:
    counted = Counter(run.waiting()).most_common(MOST_RUNNING)
    return [(_whole(call.task), _whole(call.reason), calls) for call, calls in counted]


def _failure(run: RunTimeline) -> StoredFailure | None:
    failed = run.last_failure()
    if failed is None:
        return None
    return StoredFailure(
        failed.place, _whole(failed.task), _whole(failed.error_type or ""), retried=isinstance(failed, Retry)
    )


def _whole(text: str) -> str:
    """Return a text that has UTF-8: in names of tasks there may be halves of characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _integers(numbers: Sequence[int]) -> bytes:
    return _little(array("q", numbers))


def _floats(numbers: Sequence[float]) -> bytes:
    return _little(array("d", numbers))


def _little(column: array[int] | array[float]) -> bytes:
    if sys.byteorder == "big":
        column.byteswap()
    return column.tobytes()
