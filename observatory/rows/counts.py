"""Instructions of both sides of a duel, by callgrind: they repeat exactly, whatever else the machine does."""

from __future__ import annotations

import asyncio
import shutil
import sys
from importlib import import_module

from observatory.instructions import collected
from observatory.rows.duel import Duel
from observatory.rows.row import Measure, Reading, Settings

FEW, MORE = 1, 2
"""Repeats; the first one warms the engine and the inline caches of the interpreter."""

SLOWDOWN = 50
"""How many times as long everything takes under callgrind; time slices are to hold as many calls as without it."""


def count_both(module: str, duel: str) -> Measure:
    """Return what counts the instructions a unit of both sides of a duel, which is a name in a module."""

    async def measure(size: int, settings: Settings) -> Reading:
        if shutil.which("valgrind") is None:
            return Reading(size, absent="valgrind is not installed")
        counted = [
            [
                await asyncio.to_thread(_collected, module, duel, side, size, repeats)
                for repeats in (FEW, MORE)
            ]
            for side in ("limit", "ours")
        ]
        limit, ours = ((more - few) / (MORE - FEW) / size for few, more in counted)
        return Reading(size, [limit], [ours])

    return measure


def _collected(module: str, duel: str, side: str, size: int, repeats: int) -> int:
    return collected(["-m", "observatory.rows.counts", module, duel, side, str(size), str(repeats)])


async def repeat(duel: Duel, name: str, size: int, repeats: int) -> None:
    """Run one side that often; this is what callgrind watches."""
    side = duel.limit if name == "limit" else duel.ours
    async with side.opened(size) as prepare:
        for salt in range(repeats):
            if await prepare(salt)() != side.answer(size, salt):
                raise AssertionError(f"wrong answer of {name}")


if __name__ == "__main__":
    import cascade.runtime.sharing.time_slice as slices

    slices.SLICE_SECONDS *= SLOWDOWN
    chosen = getattr(import_module(sys.argv[1]), sys.argv[2])
    asyncio.run(repeat(chosen, sys.argv[3], int(sys.argv[4]), int(sys.argv[5])))
