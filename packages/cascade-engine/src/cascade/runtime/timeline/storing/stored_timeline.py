"""Stored timelines: the timeline of a run of another process, or of one that is gone, read from what its store has.

It is read by types: what does not fit is damage, and an error that says so. Nothing in it is run, and there are no
values in it.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import NamedTuple, TypeVar

import msgspec

from cascade.graph.nodes import EdgeType
from cascade.graph.tree import Call as Waits
from cascade.graph.tree import Choice, Source, Structure
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.timeline.entries import CallFacts, Entry, OneCall, OneSkip, Sums
from cascade.runtime.timeline.figures import Figures
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.storing.stored_form import (
    VERSION,
    StoredCall,
    StoredColumns,
    StoredEdge,
    StoredFigures,
    StoredPiece,
    StoredStructure,
    StoredSum,
)
from cascade.runtime.timeline.timeline_graphs import SELECTOR
from cascade.runtime.timeline.views import Call, MapSize, NodeNames, Place, Retry, Skip, TreeView
from cascade.spec.errors import DamagedDataError
from cascade.spec.late_dataclasses import dataclass, field

T = TypeVar("T")
N = TypeVar("N", int, float)

MOST_CALLS = 1_000_000
"""Of a store that has more calls of one drive, no more are read."""


@dataclass(slots=True)
class StoredDrive:
    """What a store has of one drive of a run: its sum, and pieces with its calls."""

    total: StoredSum
    pieces: list[StoredPiece] = field(default_factory=list)


def read_drives(parts: Mapping[int, Mapping[int, bytes]], pieces: bool = True) -> list[StoredDrive]:
    """Read the parts of a timeline, by drive and number; the pieces of a drive only if they are wanted.

    A drive whose sum is not there, or is of a newer version, is left out.

    Raises:
        DamagedDataError: If something else stands there.
    """
    found = []
    for _, numbered in sorted(parts.items()):
        if 0 not in numbered:
            continue
        total = _read(numbered[0], StoredSum)
        if total.version > VERSION:
            continue
        rest = (data for number, data in sorted(numbered.items()) if number and pieces)
        found.append(StoredDrive(total, [_read(data, StoredPiece) for data in rest]))
    return found


def _read(data: bytes, form: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(data, type=form)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as problem:
        raise DamagedDataError(f"a part of a timeline is no {form.__name__}") from problem


class StoredTimeline(NamedTuple):
    """The timeline of a run, and the number of the first tree of its last drive."""

    run: RunTimeline
    first: int


def stored_timeline(run_id: str, drives: Sequence[StoredDrive]) -> StoredTimeline:
    """Return what a store has of a run as its timeline, with the calls of all drives, one drive after the other.

    Of the figures, those of calls are sums over all drives, and those of what was skipped or is known are of the last
    one: a later drive meets again what an earlier one had met. Trees are numbered anew.

    Raises:
        DamagedDataError: If something in it can't be.
    """
    run = RunTimeline(run_id, 0.0, is_timed=True, take_room=_take_room)
    if not drives:
        return StoredTimeline(run, 0)
    loading = _Loading(run, drives[0], 0.0)
    first, last = drives[0].total, drives[-1].total
    try:
        run.began_at = datetime.fromtimestamp(first.began, UTC)
        for drive in drives:
            loading = _Loading(run, drive, drive.total.began - first.began)
            loading.load()
        run.inputs = last.inputs
        run.replace_figures(_merged(drives))
        run.folded = sum(drive.total.dropped for drive in drives)
        if last.status is not None and last.ended is not None:
            run.status, run.ended = last.status, last.began - first.began + last.ended
        else:
            for number, (place, task, began) in enumerate(last.running):
                run.add_running(number, (loading.place(place), task, began + last.began - first.began))
    except (ValueError, IndexError, KeyError, OverflowError, OSError) as problem:
        raise DamagedDataError("a part of a timeline does not fit the others") from problem
    return StoredTimeline(run, loading.first)


def _take_room(size: int) -> bool:
    return True


def _merged(drives: Sequence[StoredDrive]) -> dict[str, Figures]:
    merged: dict[str, Figures] = {}
    for drive in drives:
        is_last = drive is drives[-1]
        for stored in drive.total.tasks:
            merged.setdefault(stored.task, Figures()).add(figures_of(stored, is_last))
    return merged


def figures_of(stored: StoredFigures, is_last: bool = True) -> Figures:
    """Return the figures of a task in one drive; of any but the last, without what later ones tell again."""
    figures = Figures()
    figures.by_status.update(stored.statuses)
    figures.retries = stored.retries
    figures.total, figures.longest = stored.total, stored.longest
    figures.sketch.update(stored.sketch)
    figures.timed = sum(stored.sketch.values())
    figures.shortest = stored.shortest if stored.sketch else figures.shortest
    if is_last:
        figures.known, figures.is_looped = stored.known, stored.is_looped
        figures.skips.update(stored.skips)
    return figures


class _Loading:
    """Puts the calls of one drive into the timeline of its run.

    `offset` is when it began, from the run's beginning; `first` is the number of its first tree there.
    """

    def __init__(self, run: RunTimeline, drive: StoredDrive, offset: float) -> None:
        self._run = run
        self._drive = drive
        self._offset = offset
        self.first = 1 + max((tree.number for tree in run.trees()), default=-1)
        self._structures: dict[int, tuple[Structure, NodeNames]] = {}

    def load(self) -> None:
        """Put them there."""
        for piece in self._drive.pieces:
            self._load(piece)

    def _load(self, piece: StoredPiece) -> None:
        run, names, place_of = self._run, piece.names, self.place
        for structure in piece.structures:
            self._structures[structure.number] = _structure(structure, names)
        for tree in piece.trees:
            stands_for = None if tree.call is None else place_of(tree.call)
            shape, first = self._structures[tree.structure], tree.number + self.first
            if not 0 < tree.count <= MOST_CALLS:
                raise ValueError(f"{tree.count} trees in one piece")
            for each in range(tree.count):
                run.add_tree(TreeView(first + each, stands_for, tree.round + each, *shape))
        for size in piece.maps:
            run.add_map(MapSize(place_of(size.place), names[size.task], size.size), None)
        for loop in piece.rounds:
            run.note_round(None if loop.call is None else place_of(loop.call), loop.rounds - 1)
        for columns in piece.columns:
            self._add_columns(columns, names)
        for call in piece.calls:
            run.add_call(self._call(call, names), None)
        for skip in piece.skips:
            reason, at = SkipReason(names[skip.reason]), skip.at + self._offset
            run.add(OneSkip(Skip(place_of(skip.place), names[skip.task], reason, at)))
        for retry in piece.retries:
            place, task, error = place_of(retry.place), names[retry.task], names[retry.error]
            at = retry.at + self._offset
            run.add_retry(Retry(place, task, retry.attempt, at, retry.delay, error, error))

    def _call(self, call: StoredCall, names: Sequence[str]) -> OneCall:
        offset, error = self._offset, None if call.error is None else names[call.error]
        times = (call.queued + offset, call.began + offset, call.ended + offset)
        ending = (Status(names[call.status]), names[call.worker], error, call.is_map, ())
        facts: CallFacts = (names[call.task], call.attempt, *times, *ending)
        failure = None if error is None or call.where is None else (error, call.where)
        return OneCall(self.place(call.place), facts, failure)

    def place(self, place: Place) -> Place:
        """Return a place in the timeline of the run."""
        tree, node, item = place
        return Place(tree + self.first, node, item)

    def _add_columns(self, stored: StoredColumns, names: list[str]) -> None:
        size = stored.size
        if not 0 <= size <= MOST_CALLS:
            raise ValueError(f"{size} calls in one piece")
        ends = _floats(stored.ends, size)
        tasks = _named(stored.task, size, names)
        item = stored.item
        items = range(item, item + size) if isinstance(item, int) else item and _integers(item, size)
        began = [stored.began, *ends[:-1]] if isinstance(stored.began, float) else _floats(stored.began, size)
        queued = self._queued(stored, began)
        workers = _named(stored.worker, size, names)
        places = (_integers(stored.tree, size), _integers(stored.node, size), items)
        made = _Made(names, tasks, queued, began, ends, workers)
        self._run.add(_StoredStretch(self.first, self._offset, places, made))

    def _queued(self, stored: StoredColumns, began: Sequence[float]) -> Sequence[float]:
        if stored.queued is not None:
            return _floats(stored.queued, stored.size)
        return [stored.began] * stored.size if isinstance(stored.began, float) else began


class _Made(NamedTuple):
    """Calls, one by one: their tasks and workers as numbers of names, and times from the beginning of their drive."""

    names: Sequence[str]
    tasks: Sequence[int]
    queued: Sequence[float]
    began: Sequence[float]
    ends: Sequence[float]
    workers: Sequence[int]


class _StoredStretch(Entry):
    """Calls that have succeeded at the first attempt. What they add to figures is in the sum of their drive."""

    __slots__ = ("_first_tree", "_made", "_offset", "_places")

    def __init__(
        self,
        first: int,
        offset: float,
        places: tuple[Sequence[int], Sequence[int], Sequence[int] | None],
        made: _Made,
    ) -> None:
        super().__init__(len(made.ends))
        self._first_tree = first
        self._offset = offset
        self._places = places
        self._made = made

    def calls(self) -> Iterator[Call]:
        names, tasks, queues, begins, ends, workers = self._made
        trees, nodes, items = self._places
        first, offset = self._first_tree, self._offset
        columns = (trees, nodes, repeat(None, self.size) if items is None else items, tasks)
        rows = zip(*columns, queues, begins, ends, workers, strict=True)
        for tree, node, item, task, queued, began, ended, worker in rows:
            place, times = Place(tree + first, node, item), (queued + offset, began + offset, ended + offset)
            yield Call(place, names[task], 1, *times, Status.SUCCEEDED, names[worker])

    def sums(self) -> Iterator[Sums]:
        return iter(())


def _named(stored: int | bytes, size: int, names: Sequence[str]) -> Sequence[int]:
    """Return numbers of names."""
    numbers = _integers(stored, size)
    if any(not 0 <= number < len(names) for number in {*numbers}):
        raise ValueError("something without a name")
    return numbers


def _integers(stored: int | bytes, size: int) -> Sequence[int]:
    return [stored] * size if isinstance(stored, int) else _checked(array("q", stored), size)


def _floats(stored: bytes, size: int) -> Sequence[float]:
    return _checked(array("d", stored), size)


def _checked(column: array[N], size: int) -> array[N]:
    if sys.byteorder == "big":
        column.byteswap()
    if len(column) != size:
        raise ValueError(f"a column of {len(column)} for {size} calls")
    return column


class _Key(str):
    """The key of a route as a graph shows it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _structure(stored: StoredStructure, names: list[str]) -> tuple[Structure, NodeNames]:
    size = len(stored.names)
    if not 0 <= stored.target < size:
        raise ValueError("a target that is no node")
    if stored.edges:
        edges: dict[int, list[StoredEdge]] = {}
        for edge in stored.edges:
            edges.setdefault(edge.target, []).append(edge)
        found = [_waits(edges.get(node, ())) for node in range(size)]
    else:
        found = [Waits(sources=sources) for sources in stored.inputs]
    structure = Structure([*found, *repeat(Waits(), size - len(found))], [], {}, stored.target)
    for waits in structure.dependencies():
        if any(not 0 <= source < size for source in waits):
            raise ValueError("an edge from what is no node")
    return structure, NodeNames(names[name] for name in stored.names)


def _waits(edges: Sequence[StoredEdge]) -> Waits:
    """Return what a node waits for; the edges of a router stand together, its selector first."""
    after, conditions = [], []
    amounts: list[tuple[str, int]] = []
    sources: list[Source] = []
    for edge in edges:
        kind = EdgeType(edge.kind)
        if kind is EdgeType.SEQUENCE:
            after.append(edge.source)
        elif kind is EdgeType.CONDITION:
            conditions.append(edge.source)
        elif kind is EdgeType.CONSTRAINT:
            amounts.append((edge.label, edge.source))
        elif kind is EdgeType.ROUTER_ROUTE:
            choice = sources.pop()
            if not isinstance(choice, Choice):
                raise ValueError("a route without a selector")
            keys, routes = (*choice.keys, _Key(edge.label)), (*choice.routes, edge.source)
            sources.append(Choice(choice.selector, keys, routes))
        elif edge.label == SELECTOR:
            sources.append(Choice(edge.source, (), ()))
        else:
            sources.append(edge.source)
    return Waits(after=(*after,), conditions=(*conditions,), amounts=(*amounts,), sources=(*sources,))
