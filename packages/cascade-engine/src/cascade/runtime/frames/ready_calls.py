"""Ready calls: those of a recorded frame in which every call is plain, to be made one after another."""

from __future__ import annotations

from heapq import heappush
from typing import Any

from cascade.runtime.flow import FlowManager


class KnownValues(dict[int, Any]):
    """The values of a frame's nodes by position. One that is not here is read from the state backend."""

    def __init__(self, flow: FlowManager) -> None:
        super().__init__()
        self._value = flow.value

    def __missing__(self, node: int) -> Any:
        return self._value(node)


class ReadyCalls:
    """The calls of one frame that are ready, as a heap of their ranks in its plan, and the values so far.

    `is_queued` tells that the frame lies in the run's queue for them.
    """

    __slots__ = ("is_queued", "ranks", "values")

    def __init__(self, flow: FlowManager) -> None:
        self.ranks: list[int] = []
        self.values = KnownValues(flow)
        self.is_queued = False

    def add(self, ranks: list[int]) -> None:
        """Note that the calls of these ranks are ready."""
        if len(ranks) < len(self.ranks):
            for rank in ranks:
                heappush(self.ranks, rank)
        else:
            self.ranks += ranks
            self.ranks.sort()  # a sorted list is a heap, and mostly they are sorted already
