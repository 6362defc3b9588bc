"""An executor that is closed while a run uses it."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import cascade as cs
from support.recovering import until
from support.remote_tasks import add, hold_until, square


async def check_closed_during_a_run(executor: Any, folder: Path) -> None:
    """The call under way ends, `close` waits for it, those that wait for room and later ones are made all the same."""
    begun, go = folder / "begun", folder / "go"
    later: Any = add
    async with cs.Engine(executor=executor) as engine:
        held = later(hold_until(str(begun), str(go)), "!")
        run = asyncio.ensure_future(engine.run(held))
        await until(begun.exists)
        waiting = [asyncio.ensure_future(engine.run(square(number))) for number in range(5)]
        for _ in range(100):
            await asyncio.sleep(0)
        threading.Timer(0.1, go.touch).start()  # not from this loop: an executor may hold it up meanwhile
        await executor.close()
        assert go.exists()
        assert await run == "held!"
        assert await asyncio.gather(*waiting) == [0, 1, 4, 9, 16]
        assert begun.read_text() == "b"
        assert await engine.run(square(3)) == 9
    await executor.close()
