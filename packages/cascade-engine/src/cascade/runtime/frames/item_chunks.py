"""The chunks of one map, as data: how many are out, how long an item takes, and what comes before the next one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
"""An item of which more is known than its index."""

AIM_SECONDS = 0.01
"""What the calls of a chunk should take together: much more than sending it, and little for others who wait."""

MOST_SECONDS = 0.1
"""What they should take at most where the way to a worker is long."""

AIM_OF_WAY = 4
"""How much longer than the way to the worker and back the calls of a chunk should take."""

LEAST_OF_AIM = 0.2
"""Near the end of a map chunks get smaller, so that all workers end together; below this, sending them costs more."""

GROWTH = 8
"""How much larger a chunk may be than the one before: the first items need not be like the others."""


class Pace:
    """How long an item takes, and the way to a worker and back, as chunks have shown so far."""

    __slots__ = ("_largest", "_seconds", "_way")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._way = MOST_SECONDS
        self._largest = 0

    def note(self, count: int, seconds: float, working: float) -> None:
        """Note how long a chunk took of which `count` items have ended, and how long its worker was at work."""
        # The shortest way: a longer one has waited for something, or has carried much.
        self._way = min(self._way, max(seconds - working, 0.0))
        # Ways differ among themselves by as much as one takes: what may be such a difference is no time of the items.
        spent = max(working, seconds - AIM_OF_WAY * self._way)
        measured = max(spent / count, 1e-7)
        self._seconds = (self._seconds + measured) / 2 if self._largest else measured
        self._largest = max(count, self._largest // 2)  # a small one may have been all that there was

    def size(self, left: int, chunks: int) -> int:
        """Return how many items the next chunk gets, if so many are left for it and as many as `chunks` beside it."""
        if not self._largest:
            return 1
        aim = min(max(AIM_SECONDS, AIM_OF_WAY * self._way), MOST_SECONDS)
        share = max(left / (2 * chunks), LEAST_OF_AIM * aim / self._seconds)
        return max(1, int(min(aim / self._seconds, share, GROWTH * self._largest)))


class ItemChunks(Generic[Item]):
    """What of a map is out in chunks.

    `out` counts the chunks, `inside` their items. `is_waiting` says that one of them waits for a worker: no other is
    made meanwhile. `given_back` are the indices of items that have not begun in theirs, `held` calls that go on alone
    once there is room for them. `jobs` are the items of which more is known than their index, as long as they are out.
    """

    __slots__ = ("given_back", "held", "inside", "is_waiting", "jobs", "out", "pace")

    def __init__(self) -> None:
        self.given_back: deque[int] = deque()
        self.held: deque[Callable[[], None]] = deque()
        self.jobs: dict[int, Item] = {}
        self.inside = 0
        self.is_waiting = False
        self.out = 0
        self.pace = Pace()

    def begin(self, count: int) -> None:
        """Note that a chunk goes out."""
        self.out += 1
        self.inside += count
        self.is_waiting = True

    def end(self, made: int, seconds: float, working: float, is_admitted: bool) -> None:
        """Note that a chunk is over of which so many calls were made; they took so long with all around them.

        `working` is how long the worker was at work for them.
        """
        self.out -= 1
        if not is_admitted:
            self.is_waiting = False
        if made:
            self.pace.note(made, seconds, working)

    def under_way(self, running: int) -> int:
        """Return how many items run at the same time, if `running` have begun and not ended: one in each chunk."""
        return self.out + running - self.inside - len(self.given_back) - len(self.held)
