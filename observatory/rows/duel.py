"""Duels: two sides of one thing by turns, in one process, with the garbage collector as users have it."""

from __future__ import annotations

import gc
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from itertools import count

from observatory.contest import WrongAnswerError
from observatory.rows.row import Reading, Settings

LONGEST = 10.0
"""Seconds after which two repeats are enough of what takes long."""

Run = Callable[[], Awaitable[object]]
"""One repeat, ready to be timed."""

Prepare = Callable[[int], Run]
"""From a salt, the next repeat. What is no part of the time happens here."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side: `opened` gives, for a size, what it has open for as long as it is measured."""

    opened: Callable[[int], AbstractAsyncContextManager[Prepare]]
    answer: Callable[[int, int], object]
    units: Callable[[int], int] = int


def plain(compute: Callable[[int, int], object], answer: Callable[[int, int], object]) -> Side:
    """Return a side that computes a value, or an awaitable of it, from size and salt."""

    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        def prepare(salt: int) -> Run:
            async def run() -> object:
                value = compute(size, salt)
                return await value if inspect.isawaitable(value) else value

            return run

        yield prepare

    return Side(opened, answer)


@dataclass(frozen=True, slots=True)
class Duel:
    """Measures ours against the limit, in microseconds a unit.

    `clock` is processor time; pools and disks need the wall's. The limit may be of another size, `limit_size`, to
    tell how the cost of a unit grows.
    """

    limit: Side
    ours: Side
    clock: Callable[[], float] = time.process_time
    limit_size: int | None = None

    async def __call__(self, size: int, settings: Settings) -> Reading:
        """Warm both sides up, then give them their turns.

        Raises:
            WrongAnswerError: If a repeat gives something else than the answer.
        """
        limit_size = size if self.limit_size is None else min(self.limit_size, size)
        limits: list[float] = []
        ours: list[float] = []
        salts = count(1)
        async with self.limit.opened(limit_size) as limit, self.ours.opened(size) as own:
            sides = ((self.limit, limit, limit_size, limits), (self.ours, own, size, ours))
            ends = time.perf_counter() + 2 * settings.seconds
            for _ in range(2):
                for side, prepare, units, _taken in sides:
                    await repeat(side, prepare, (units, next(salts)), self.clock)
                if time.perf_counter() > ends:  # so long a run needs no second one to be warm
                    break
            ends = time.perf_counter() + settings.seconds
            while len(ours) < settings.fewest or time.perf_counter() < ends:
                for side, prepare, units, taken in sides:
                    taken.append(await repeat(side, prepare, (units, next(salts)), self.clock))
                if time.perf_counter() > ends + LONGEST and len(ours) > 1:
                    break
        return Reading(size, limits, ours)


async def repeat(
    side: Side, prepare: Prepare, literals: tuple[int, int], clock: Callable[[], float] = time.process_time
) -> float:
    """Return the microseconds a unit of one repeat, from its size and salt.

    Raises:
        WrongAnswerError: If it gives something else than the answer.
    """
    size, salt = literals
    run = prepare(salt)
    gc.collect()  # neither side tidies up after the other
    before = clock()
    value = await run()
    taken = clock() - before
    if value != side.answer(size, salt):
        raise WrongAnswerError(f"size {size}, salt {salt}: {value!r:.80}")
    return taken / side.units(size) * 1e6


async def repeats(side: Side, size: int, settings: Settings) -> list[float]:
    """Return the microseconds a unit of some repeats of one side alone, warmed up; one is enough of what takes long."""
    found: list[float] = []
    salts = count(1)
    async with side.opened(size) as prepare:
        await repeat(side, prepare, (size, next(salts)))
        ends = time.perf_counter() + settings.seconds
        while (
            not found
            or (time.perf_counter() < ends + 1 and len(found) < settings.fewest)
            or time.perf_counter() < ends
        ):
            found.append(await repeat(side, prepare, (size, next(salts))))
    return found
