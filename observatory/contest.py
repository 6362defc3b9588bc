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
from cascade.runtime import Event
from observatory.workloads import Start, Workload

LONGEST_REPEAT = 0.03
"""Seconds. A size whose repeats take longer is halved until they fit, unless the full size is asked for."""

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

    def again(self, listening: bool = False) -> Side:
        """Return the side of an engine that knows the structure; `listening` to every event if so wished."""
        engine = cs.Engine()
        if listening:
            engine.bus.subscribe(Event, lambda event: None)
        make = self.workload.ours()

        def prepare(salt: int) -> Run:
            async def run() -> object:
                return await engine.run(make(self.size, salt))

            return run

        return prepare

    def cold(self) -> Side:
        """Return the side of a new engine and new tasks."""

        def prepare(salt: int) -> Run:
            make = self.workload.ours()

            async def run() -> object:
                async with cs.Engine() as engine:
                    return await engine.run(make(self.size, salt))

            return run

        return prepare

    def ours(self, start: Start) -> Side:
        return self.cold() if start is Start.COLD else self.again()

    def check(self, value: object, salt: int) -> None:
        """Check a repeat's answer.

        Raises:
            WrongAnswerError: If it is wrong.
        """
        if value != self.workload.answer(self.size, salt):
            raise WrongAnswerError(f"{self.workload.name} of size {self.size}, salt {salt}: {value!r:.80}")


class Stopwatch:
    """Times sides and checks their answers. Each repeat has literals of its own.

    The garbage collector runs before each repeat and not in it; with `collecting` it is left as it is.
    """

    def __init__(self, contestants: Contestants, collecting: bool = False) -> None:
        self._contestants = contestants
        self._collecting = collecting
        self._salts = count(1)

    async def time(self, side: Side) -> float:
        """Run one repeat; return its seconds.

        Raises:
            WrongAnswerError: If its answer is wrong.
        """
        salt = next(self._salts)
        run = side(salt)
        if not self._collecting:
            gc.collect()
            gc.disable()
        try:
            before = time.perf_counter()
            value = await run()
            seconds = time.perf_counter() - before
        finally:
            if not self._collecting:
                gc.enable()
        self._contestants.check(value, salt)
        return seconds


async def take_turns(watch: Stopwatch, timing: Timing, limit: Side, ours: Side, seconds: float) -> Timing:
    """Warm both sides up and repeat them by turns for about that many seconds, `FEWEST_REPEATS` times at least."""
    for side in (limit, ours, ours):
        await watch.time(side)
    gc.collect()
    gc.freeze()  # what the process holds anyway is not searched before each repeat
    end = time.perf_counter() + seconds
    while len(timing.ours) < FEWEST_REPEATS or time.perf_counter() < end:
        timing.limit.append(await watch.time(limit))
        timing.ours.append(await watch.time(ours))
    gc.unfreeze()
    return timing


async def fitting_size(workload: Workload, start: Start, *, longest: float = LONGEST_REPEAT) -> int:
    """Return the workload's size, halved until one repeat of ours takes less than `longest` seconds."""
    size = workload.size
    while size > 1:
        contestants = Contestants(workload, size)
        watch, side = Stopwatch(contestants), contestants.ours(start)
        if min([await watch.time(side), await watch.time(side), await watch.time(side)]) <= longest:
            break
        size //= 2
    return size


async def against_limit(
    workload: Workload, start: Start, size: int, seconds: float, *, collecting: bool = False
) -> Timing:
    """Time a workload on Cascade against its limit."""
    contestants = Contestants(workload, size)
    watch = Stopwatch(contestants, collecting)
    timing = Timing(size, workload.units(size))
    return await take_turns(watch, timing, contestants.limit(), contestants.ours(start), seconds)


async def against_listener(workload: Workload, size: int, seconds: float) -> Timing:
    """Time a workload without a listener (as the limit) against the same with one on every event."""
    contestants = Contestants(workload, size)
    timing = Timing(size, workload.units(size))
    without, listening = contestants.again(), contestants.again(listening=True)
    return await take_turns(Stopwatch(contestants), timing, without, listening, seconds)
