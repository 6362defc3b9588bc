"""Turns: the connections of one process to a file write it one after the other, in the order that they asked.

SQLite itself makes writers wait by trying again after a while, for a limited time and whoever comes first: of a
hundred runs on one file some would never get through.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from cascade.spec.errors import StoreError


class Turn:
    """The right to use a file, among the connections of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._refused = 0.0  # when, and with which store and problem
        self._problem = ("", "")

    @contextmanager
    def taken(self, wait: bool = True) -> Iterator[None]:
        """Wait for the turn, and have it inside.

        Who waited while the file stayed locked by others is told so at once, and need not wait as long again.

        Raises:
            BlockingIOError: If somebody else has it, and it is not to be waited for.
            StoreError: If somebody else of this process has just been told that the file can't be used.
        """
        asked = time.monotonic()
        if not self._lock.acquire(blocking=wait):
            raise BlockingIOError
        try:
            if self._refused > asked:
                raise StoreError(*self._problem)
            try:
                yield
            except StoreError as error:
                if isinstance(error.__cause__, sqlite3.OperationalError):
                    self._refused = time.monotonic()
                    self._problem = (error.store, error.problem)
                raise
        finally:
            self._lock.release()


def turn_of(path: str | os.PathLike[str]) -> Turn:
    """Return the turn of a file, the same for each of its names."""
    with _making:
        return _turns.setdefault(Path(path).resolve(), Turn())


_turns: WeakValueDictionary[Path, Turn] = WeakValueDictionary()
_making = threading.Lock()
