"""What it costs to search what a task returns for lazy results."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import cascade as cs


@dataclass(frozen=True, slots=True)
class SearchTiming:
    """Nanoseconds an element of a returned list: of the run that hands it on quoted, and of one that searches it."""

    quoted_ns: float
    searched_ns: float

    @property
    def extra_ns(self) -> float:
        """What the search adds to an element."""
        return self.searched_ns - self.quoted_ns


async def returned_numbers(size: int, seconds: float) -> SearchTiming:
    """Measure a task that returns a list of `size` numbers, with and without `cs.quote`, by turns."""
    numbers = [*range(size)]

    @cs.task
    def searched() -> Any:
        return numbers

    @cs.task
    def quoted() -> Any:
        return cs.quote(numbers)

    best = {searched: float("inf"), quoted: float("inf")}
    ends = time.perf_counter() + seconds
    async with cs.Engine() as engine:
        while time.perf_counter() < ends or best[quoted] == float("inf"):
            for task in (searched, quoted):
                began = time.process_time()
                value = await engine.run(task())
                best[task] = min(best[task], time.process_time() - began)
                assert value is numbers
    return SearchTiming(best[quoted] / size * 1e9, best[searched] / size * 1e9)
