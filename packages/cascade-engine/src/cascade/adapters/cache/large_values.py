"""The large values of a cache, as files beside it.

Each file belongs to one entry, which has a pointer to it. Any number of processes may write: an entry whose file
another process has just removed is no hit, and is put again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, TypeAlias

from cascade.adapters.sqlite_bindings.connection import Connection
from cascade.adapters.values.pointer import SIZE, Pointer, is_large, is_pointer
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import DamagedDataError, StoreError

Row: TypeAlias = tuple[Any, ...]

DIGEST, VALUE = 0, 6
"""Where the digest of the key and the value stand in a row that is put."""

_POINTERS = "SELECT digest, value FROM entry WHERE length(value) = ?"
_OF_KEY = f"{_POINTERS} AND digest = ?"
_OF_ENTRY = f"{_OF_KEY} AND stored_at = ?"
_BEYOND = f"{_POINTERS} AND number <= ?"
_LEFT_SECONDS = 3600.0
"""The age from which a file that no entry points to is removed: no process is about to commit its entry."""


class CacheFiles:
    """The files of one cache. Used in the writing thread alone."""

    def __init__(self, store: ValueStore) -> None:
        self._store = store
        self._obsolete: set[str] = set()

    def load(self, digest: str, row: Row) -> Row | None:
        """Return a row with the value that it points to; `None` if the file is missing or changed."""
        try:
            pointer = Pointer.read(row[0])
            data = pointer.check(self._store.get(_name(digest, pointer), pointer.size))
        except (DamagedDataError, StoreError):
            return None
        return (data, *row[1:])

    def write_large(self, rows: list[Row]) -> list[Row]:
        """Write large values to files, and return the rows with pointers in their places.

        Raises:
            StoreError: If a file can't be written.
        """
        return [self._stored(row) if is_large(row[VALUE]) else row for row in rows]

    def _stored(self, row: Row) -> Row:
        pointer = Pointer.to(row[VALUE])
        self._store.put(_name(row[DIGEST], pointer), row[VALUE], safe=False)
        return (*row[:VALUE], bytes(pointer), *row[VALUE + 1 :])

    def note_replaced(self, connection: Connection, rows: Iterable[Row]) -> None:
        """Note the files of the entries that these rows replace; call it before that, in their transaction."""
        self._obsolete = set()
        kept = set()
        for row in rows:
            self._obsolete |= _pointed(connection.select(_OF_KEY, (SIZE, row[DIGEST])))
            kept |= _pointed([(row[DIGEST], row[VALUE])])
        self._obsolete -= kept

    def note_dropped(self, connection: Connection, digest: str, stored_at: float) -> None:
        """Note the file of an entry that was put then; call it before it is deleted, in the same transaction."""
        self._obsolete |= _pointed(connection.select(_OF_ENTRY, (SIZE, digest, stored_at)))

    def note_evicted(self, connection: Connection, beyond: Row) -> None:
        """Note the files of the entries up to a number; call it before they are deleted, in their transaction."""
        self._obsolete |= _pointed(connection.select(_BEYOND, (SIZE, *beyond)))

    def clean(self) -> None:
        """Remove the files that were noted; call it after the commit."""
        for name in self._obsolete:
            self._store.delete(name)
        self._obsolete = set()

    def sweep(self, connection: Connection) -> None:
        """Note the files that no entry points to: a process that was killed has left them."""
        before = time.time() - _LEFT_SECONDS
        left = {name for name, put_at, _ in self._store.names("") if put_at < before}
        if left:
            self._obsolete |= left - _pointed(connection.select(_POINTERS, (SIZE,)))


def _pointed(rows: Iterable[Row]) -> set[str]:
    """Return the names of the files that entries point to."""
    return {
        _name(digest, Pointer.read(data))
        for digest, data in rows
        if isinstance(digest, str) and isinstance(data, bytes) and len(data) == SIZE and is_pointer(data)
    }


def _name(digest: str, pointer: Pointer) -> str:
    key = blake2b(digest.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{key[:2]}/{key}-{pointer.digest.hex()}"
