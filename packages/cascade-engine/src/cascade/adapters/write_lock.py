"""Write locks: the connections of one process write a file one after the other, in the order that they asked.

SQLite makes a writer wait by trying again after a while, for a limited time, and whoever comes first wins. Of a hundred
runs on one file some would never get through.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from cascade.adapters.sqlite_bindings.connection import SqliteError
from cascade.spec.errors import StoreError


class WriteLock:
    """The right to write a file, among the connections of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused_at = 0.0  # when the file could last not be used, in monotonic seconds
        self._problem = ("", "")  # the store and the problem of that moment

    @contextmanager
    def held(self, wait: bool = True) -> Iterator[None]:
        """Hold the lock inside the `with`; wait for it first if `wait`.

        If another process keeps the file locked, the first writer waits for that until its time is over. Those who
        waited behind it fail with the same error at once: they would wait just as long for nothing.

        Raises:
            BlockingIOError: If another connection holds the lock, and `wait` is false.
            StoreError: If another connection found, during the wait, that the file can't be used.
        """
        asked = time.monotonic()
        if not self._lock.acquire(blocking=wait):
            raise BlockingIOError
        try:
            if self._refused_at > asked:
                raise StoreError(*self._problem)
            try:
                yield
            except StoreError as error:
                if isinstance(error.__cause__, SqliteError) and error.__cause__.is_busy:
                    self._refused_at = time.monotonic()
                    self._problem = (error.store, error.problem)
                raise
        finally:
            self._lock.release()


def lock_for(path: str | os.PathLike[str]) -> WriteLock:
    """Return the write lock of a file, the same for each of its names."""
    with _making:
        return _locks.setdefault(Path(path).resolve(), WriteLock())


_locks: WeakValueDictionary[Path, WriteLock] = WeakValueDictionary()
_making = threading.Lock()
