"""Flight logs: what is noted of calls that overlap for somebody who watches, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Collection

from cascade.runtime.frames.reporting.watching import WatchedTree


class FlightLog:
    """When calls of one tree began and ended, by position, and in which order.

    `began` and `ended` are 0 for what has not happened. `began` is the flight's own.
    """

    __slots__ = ("_happened", "began", "ended", "tree")

    def __init__(self, tree: WatchedTree, began: list[float]) -> None:
        self.tree = tree
        self.began = began
        self.ended = [0.0] * len(began)
        self._happened: list[int] = []  # nodes that began; as their complement, below 0, those that ended

    def note_began(self, node: int) -> None:
        """Note that a call has begun, at the time that `began` has."""
        self._happened.append(node)

    def note_ended(self, node: int, at: float) -> None:
        """Note that a call has ended."""
        self.ended[node] = at
        self._happened.append(~node)

    def take(self, left: Collection[int] = ()) -> list[int]:
        """Return what has happened since the last time: nodes that began and, as complements, nodes that ended.

        The ends of those that are `left` to others to tell are not among them.
        """
        happened, self._happened = self._happened, []
        return [each for each in happened if each >= 0 or ~each not in left] if left else happened

    def under_way(self) -> list[tuple[int, float]]:
        """Return the nodes whose calls have begun and not ended, and when they began; in any thread."""
        times = zip(self.began, self.ended, strict=True)
        return [(node, began) for node, (began, ended) in enumerate(times) if began and not ended]


class ItemLog:
    """When items of one map began and ended that are coroutines, by index, as far as it is not told yet.

    Of those that have not ended, `began` tells when they began.
    """

    __slots__ = ("_happened", "began", "ended")

    def __init__(self) -> None:
        self.began: dict[int, float] = {}
        self.ended: dict[int, tuple[float, float]] = {}
        self._happened: list[int] = []  # as in a `FlightLog`

    def note_began(self, index: int, at: float) -> None:
        """Note that an item has begun."""
        self.began[index] = at
        self._happened.append(index)

    def note_ended(self, index: int, at: float) -> bool:
        """Note that an item has ended; return False for one that began before anybody watched: others tell of it."""
        began = self.began.pop(index, None)
        if began is None:
            return False
        self.ended[index] = began, at
        self._happened.append(~index)
        return True

    def take(self) -> tuple[list[int], dict[int, tuple[float, float]]]:
        """Return what has happened since the last time, and when those began and ended that have ended."""
        taken = self._happened, self.ended
        self._happened, self.ended = [], {}
        return taken
