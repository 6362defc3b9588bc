"""The large values of one run, as files beside its store.

They are in a folder of the run, where nobody else writes while the run is driven. Each file belongs to one row, which
has a pointer to it. A file is written before its row is committed, and removed after its row is deleted: so a row
always has its file. Files that a killed process has left are removed when the run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import Any

from cascade.adapters.sqlite_bindings.connection import Connection
from cascade.adapters.state.digests import NodeDigest
from cascade.adapters.state.journal import Changes, Kind
from cascade.adapters.values.pointer import SIZE, Pointer, is_large, is_pointer
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import DamagedDataError, StoreError

_POINTERS = "SELECT round, frame, node, kind, value FROM facts WHERE run = ? AND length(value) = ?"
_OF_ROUNDS = f"{_POINTERS} AND round <= ?"
_OF_FRAME = f"{_POINTERS} AND round = ? AND frame = ?"
_OF_NODE = f"{_OF_FRAME} AND node = ?"
_OF_FACT = f"{_OF_NODE} AND kind = ?"
_OF_TARGET = "SELECT target FROM runs WHERE id = ? AND length(target) = ?"
_TARGET = b"target"


def folder_of(run_id: str) -> str:
    """Return the folder of a run."""
    return blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class RunFiles:
    """The files of one run. With `safe` they survive the loss of power. Used in the writer's thread alone."""

    def __init__(self, store: ValueStore, run_id: str, *, safe: bool) -> None:
        self._store = store
        self._folder = folder_of(run_id)
        self._safe = safe
        self._has_files = False
        self._written: set[str] = set()
        self._obsolete: set[str] = set()
        self._begins_anew = False

    def open(self) -> None:
        """Look whether there are files."""
        self._has_files = next(self._store.names(self._folder), None) is not None

    def fact(self, place: NodeDigest, kind: Kind, data: bytes) -> tuple[NodeDigest, Kind, bytes]:
        """Return a fact with its value, which may be in a file."""
        return place, kind, self._loaded(_row_of(place, kind), data) if is_pointer(data) else data

    def target(self, data: bytes) -> bytes:
        """Return the next target of the run's own loop as bytes, which may be in a file."""
        return self._loaded(_TARGET, data)

    def _loaded(self, row: bytes, data: bytes) -> bytes:
        if not is_pointer(data):
            return data
        try:
            pointer = Pointer.read(data)
            return pointer.check(self._store.get(self._name(row, pointer), pointer.size))
        except (DamagedDataError, StoreError):
            return data  # an error only when the value is wanted: the run may do without it

    def write_large(self, changes: Changes) -> Changes:
        """Write files for what is large, and return the changes with pointers in their places.

        Raises:
            StoreError: If a file can't be written.
        """
        self._written = set()
        target = changes.head.target
        if target is not None and is_large(target):
            changes = replace(changes, head=replace(changes.head, target=self._stored(_TARGET, target)))
        if any(is_large(fact.value) for fact in changes.facts):
            facts = [
                fact._replace(value=self._stored(_row_of(fact.place, fact.kind), fact.value))
                if is_large(fact.value)
                else fact
                for fact in changes.facts
            ]
            changes = replace(changes, facts=facts)
        return changes

    def _stored(self, row: bytes, data: bytes) -> bytes:
        pointer = Pointer.to(data)
        name = self._name(row, pointer)
        self._store.put(name, data, safe=self._safe)
        self._written.add(name)
        self._has_files = True
        return bytes(pointer)

    def note_obsolete(self, connection: Connection, run: int | None, changes: Changes) -> None:
        """Note the files that will have no row after these changes; call it before them, in their transaction."""
        self._obsolete = set()
        self._begins_anew = changes.anew or run is None
        if self._has_files and not self._begins_anew:
            self._obsolete = set(self._obsolete_names(connection, run, changes)) - self._written

    def _obsolete_names(self, connection: Connection, run: int | None, changes: Changes) -> Iterator[str]:
        looks: list[tuple[str, tuple[Any, ...]]] = []
        if changes.rounds is not None:
            looks.append((_OF_ROUNDS, (changes.rounds,)))
        looks += [(_OF_FRAME, (frame.round, frame.digest)) for frame in changes.frames]
        looks += [(_OF_NODE, (*_place(place),)) for place in changes.nodes]
        looks += [(_OF_FACT, (*_place(fact.place), int(fact.kind))) for fact in changes.facts]
        for query, keys in looks:
            yield from self._pointed(connection, query, (run, SIZE, *keys))
        if changes.head.target is not None:
            yield from self._pointed(connection, _OF_TARGET, (run, SIZE))

    def _pointed(self, connection: Connection, query: str, keys: tuple[Any, ...]) -> Iterator[str]:
        """Yield the names of the files that rows point to. A damaged row points to none."""
        for *row, data in connection.select(query, keys):
            if isinstance(data, bytes) and is_pointer(data):
                with suppress(TypeError):
                    yield self._name(_row(*row) if row else _TARGET, Pointer.read(data))

    def clean(self) -> None:
        """Remove the files that `note_obsolete` has noted; call it after the commit."""
        if self._begins_anew and self._has_files:
            self._keep(self._written)
        for name in self._obsolete:
            self._store.delete(name)
        self._obsolete = set()

    def sweep(self, connection: Connection, run: int) -> None:
        """Remove the files that no row points to."""
        if self._has_files:
            facts = self._pointed(connection, _POINTERS, (run, SIZE))
            self._keep({*facts, *self._pointed(connection, _OF_TARGET, (run, SIZE))})

    def _keep(self, names: set[str]) -> None:
        for name, _, _ in self._store.names(self._folder):
            if name not in names:
                self._store.delete(name)

    def _name(self, row: bytes, pointer: Pointer) -> str:
        return f"{self._folder}/{blake2b(row, digest_size=8).hexdigest()}-{pointer.digest.hex()}"


def _place(place: NodeDigest) -> tuple[int, bytes, bytes]:
    (number, frame, _), node = place
    return number, frame, node


def _row_of(place: NodeDigest, kind: Kind) -> bytes:
    return _row(*_place(place), kind)


def _row(number: int, frame: bytes, node: bytes, kind: int) -> bytes:
    return b"%d %d %d %b%b" % (number, kind, len(frame), frame, node)
