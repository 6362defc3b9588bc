"""Value stores for tests: one in memory, which can fail at any of its calls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import PurePosixPath
from threading import Lock
from typing import Any
from weakref import WeakValueDictionary

from cascade.spec.errors import DamagedDataError, StoreError

_stores: WeakValueDictionary[int, MemoryValues] = WeakValueDictionary()


def _store_at(number: int) -> MemoryValues:
    return _stores[number]


class MemoryValues:
    """Values in memory, by name. From its call number `fails_at` on, counted from 1, every call fails.

    With `after` what is put is there when the first of these calls fails. `names` is no such call. None of these may be
    made in the thread of the tests' event loops. `by_workers` says to tests who puts what calls give.
    """

    def __init__(self, fails_at: int = 0, *, after: bool = False, by_workers: bool = False) -> None:
        self.kept: dict[str, tuple[float, bytes]] = {}
        self.calls: list[str] = []
        self.fails_at = fails_at
        self.after = after
        self.by_workers = by_workers
        self._lock = Lock()
        _stores[id(self)] = self

    def __reduce__(self) -> tuple[Any, ...]:
        return _store_at, (id(self),)  # the same object, in this process alone

    def _count(self, call: str) -> bool:
        """Count a call; return whether it is to fail when it has done what it was asked for."""
        assert not _holds_a_loop(), "a value store holds the event loop"
        with self._lock:
            self.calls.append(call)
            number = len(self.calls)
        if self.fails_at and number >= self.fails_at:
            if self.after and number == self.fails_at:
                return True
            raise StoreError("memory", "it fails as the test has asked for")
        return False

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        fails = self._count(f"put {name}")
        self.kept[name] = (time.time(), data)
        if fails:
            raise StoreError("memory", "it fails as the test has asked for")

    def get(self, name: str, size: int) -> bytes:
        if self._count(f"get {name}"):
            raise StoreError("memory", "it fails as the test has asked for")
        found = self.kept.get(name)
        if found is None or len(found[1]) != size:
            raise DamagedDataError(f"{name} is missing")
        return found[1]

    def delete(self, name: str) -> None:
        for each in [each for each in [*self.kept] if _is_below(each, name)]:
            self.kept.pop(each, None)

    def names(self, folder: str) -> Iterator[tuple[str, float, int]]:
        for name, (put_at, data) in sorted(self.kept.items()):
            if not folder or _is_below(name, folder):
                yield name, put_at, len(data)


def _holds_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _is_below(name: str, folder: str) -> bool:
    return PurePosixPath(name).is_relative_to(folder)
