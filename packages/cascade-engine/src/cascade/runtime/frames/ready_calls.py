"""Ready calls: those of a frame that its run makes by itself, one after another, in the order of the frame's plan."""

from __future__ import annotations

from heapq import heappush


class ReadyCalls:
    """The calls of one frame that are ready, as a heap of their ranks in its plan.

    `queued_at` is the lowest rank at which the frame lies in the run's queue for them, if it does.
    """

    MADE_NOW = -1
    """Stands for that rank while calls are made: those that become ready are made with them."""

    __slots__ = ("queued_at", "ranks")

    def __init__(self) -> None:
        self.ranks: list[int] = []
        self.queued_at: int | None = None

    def add(self, ranks: list[int]) -> None:
        """Note that the calls of these ranks are ready."""
        if len(ranks) < len(self.ranks):
            for rank in ranks:
                heappush(self.ranks, rank)
        else:
            self.ranks += ranks
            self.ranks.sort()  # a sorted list is a heap, and mostly they are sorted already
