"""All ways of running one target: seen for the first time and again, heard, recorded, one call at a time."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cascade.runtime import Engine, Event, MessageBus
from support.stores import recorded, url_in

TIMES = 5
"""So often that code is written for the structure, and used."""


async def make_known(engine: Engine, make: Callable[[], Any]) -> None:
    """Run a structure so often that code is written for it."""
    for _ in range(TIMES):
        await engine.run(make())


async def values_in_all_ways(make: Callable[[], Any], params: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a target gives, by the way in which it was run; each run has a target of its own."""
    found: dict[str, Any] = {}
    async with Engine() as engine:
        for time in range(TIMES):
            found[f"unheard {time}"] = await engine.run(make(), params=params)
    bus = MessageBus()
    bus.subscribe(Event, lambda event: None)
    async with Engine(bus=bus) as engine:
        for time in range(TIMES):
            found[f"heard {time}"] = await engine.run(make(), params=params)
    async with Engine(max_concurrency=1) as engine:
        for time in range(2):
            found[f"one at a time {time}"] = await engine.run(make(), params=params)
    with tempfile.TemporaryDirectory() as folder:
        async with Engine(state_backend_cls=recorded(url_in(Path(folder)))) as engine:
            found["recorded"] = await engine.run(make(), params=params, run_id="r")
            found["recorded again"] = await engine.run(make(), params=params, run_id="r")
    return found


async def check_all_ways(
    make: Callable[[], Any], expected: object, params: dict[str, Any] | None = None
) -> None:
    """Check that a target gives this value, of the same type, in whatever way it is run."""
    for way, value in (await values_in_all_ways(make, params)).items():
        assert (way, type(value), value) == (way, type(expected), expected)
