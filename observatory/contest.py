"""Contests: two sides of one workload timed against each other, in one process and by turns.

The machine may stop for whole moments and its clock rate may drift, so each timed repeat is short, both sides are
measured again and again by turns, and what counts is the ratio of the two minima and of the two medians.
"""

from __future__ import annotations

import gc
import inspect
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

import cascade as cs
from observatory.workloads import Start, Workload

FEWEST_REPEATS = 5

Run = Callable[[], Awaitable[object]]
"""One repeat, ready to be timed: building the tree and running it."""

Side = Callable[[int], Run]
"""From a salt, the next repeat; what is no part of the time, such as making new tasks, happens here."""


class WrongAnswerError(AssertionError):
    """A measured run gave something else than the workload's answer."""


@dataclass(slots=True)
class Timing:
    """What the repeats of two sides took, in seconds; each repeat has `units` rounds, nodes or items."""

    size: int
    units: int
    limit: list[float] = field(default_factory=list)
    ours: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        return min(self.ours) / min(self.limit)

    @property
    def median_ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.limit)

    @property
    def extra(self) -> float:
        """Microseconds a unit that ours takes more than the limit."""
        return (min(self.ours) - min(self.limit)) / self.units * 1e6

    @property
    def limit_us(self) -> float:
        return min(self.limit) / self.units * 1e6

    @property
    def ours_us(self) -> float:
        return min(self.ours) / self.units * 1e6


class Contestants:
    """The sides of one workload at one size."""

    def __init__(self, workload: Workload, size: int) -> None:
        self.workload = workload
        self.size = size

    def limit(self) -> Side:
        """Return the side that does only what the user's code does."""
        compute = self.workload.limit()

        def prepare(salt: int) -> Run:
            async def run() -> object:
                value = compute(self.size, salt)
                return await value if inspect.isawaitable(value) else value

            return run

        return prepare

    def engine(self) -> cs.Engine:
        return self.workload.engine()

    def again(self, engine: cs.Engine | None = None) -> Side:
        """Return the side of an engine that knows the structure."""
        known = cs.Engine() if engine is None else engine
        make = self.workload.ours()

        def prepare(salt: int) -> Run:
            async def run() -> object:
                return await known.run(make(self.size, salt))

            return run

        return prepare

    def cold(self) -> Side:
        """Return the side of a new engine and new tasks."""

        def prepare(salt: int) -> Run:
            make = self.workload.ours()

            async def run() -> object:
                async with self.engine() as engine:
                    return await engine.run(make(self.size, salt))

            return run

        return prepare

    def ours(self, start: Start, engine: cs.Engine | None = None) -> Side:
        return self.cold() if start is Start.COLD else self.again(engine)

    def check(self, value: object, salt: int) -> None:
        """Check a repeat's answer.

        Raises:
            WrongAnswerError: If it is wrong.
        """
        if value != self.workload.answer(self.size, salt):
            raise WrongAnswerError(f"{self.workload.name} of size {self.size}, salt {salt}: {value!r:.80}")


class Stopwatch:
    """Times sides and checks their answers. Each repeat has literals of its own.

    The garbage collector is on, as users have it; it runs before each repeat, so that no side tidies up after another.
    """

    def __init__(self, contestants: Contestants) -> None:
        self._contestants = contestants
        self._salts = count(1)

    async def time(self, side: Side) -> float:
        """Run one repeat; return its seconds.

        Raises:
            WrongAnswerError: If its answer is wrong.
        """
        salt = next(self._salts)
        run = side(salt)
        gc.collect()
        before = time.perf_counter()
        value = await run()
        seconds = time.perf_counter() - before
        self._contestants.check(value, salt)
        return seconds
