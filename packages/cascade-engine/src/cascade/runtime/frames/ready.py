"""The ready queue: what may start now, in the order of the trees and of their plans."""

from __future__ import annotations

import heapq
import itertools
import sys
from collections.abc import Iterator
from typing import Generic, TypeVar

Entry = TypeVar("Entry")

_LAST = (sys.maxsize, 0)
"""Behind all entries."""


class ReadyQueue(Generic[Entry]):
    """The entries of one run that may start, by the number of their tree and then by their rank in its plan.

    Entries of one rank come out in the order in which they were put in; no two entries tie.
    """

    __slots__ = ("_heap", "_ties")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, Entry]] = []
        self._ties = itertools.count()

    def push(self, serial: int, rank: int, entry: Entry) -> None:
        """Let an entry be started in its turn. Takes O(log entries)."""
        heapq.heappush(self._heap, (serial, rank, next(self._ties), entry))

    def first(self) -> Entry | None:
        """Return the entry whose turn it is, and leave it there; `None` if there is none."""
        return self._heap[0][3] if self._heap else None

    def first_place(self) -> tuple[int, int]:
        """Return the number of the tree and the rank of the entry whose turn it is; after all others if none is."""
        return self._heap[0][:2] if self._heap else _LAST

    def pop(self) -> Entry:
        """Take out the entry whose turn it is."""
        return heapq.heappop(self._heap)[3]

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Entry]:
        """Give all entries, in no order."""
        return (entry for *_, entry in self._heap)
