"""Claims about recorded runs that are cancelled: what they keep, and what their store says of them."""

from __future__ import annotations

import asyncio
import threading
from contextlib import closing
from typing import Any

import pytest
from support.resuming import give, noted, play
from support.stores import recorded

import cascade as cs
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime import Engine
from cascade.spec import RunStatus

pytestmark = pytest.mark.usefixtures("story")

GATES: dict[str, threading.Event] = {}


@cs.task(mode="thread")
def keep_in_thread(value: Any) -> Any:
    noted("thread")
    GATES["began"].set()
    GATES["ends"].wait()
    return value


@cs.task(mode="thread")
def next_in_thread(value: Any) -> Any:
    noted("first in thread")
    GATES["began"].set()
    GATES["ends"].wait()
    return give("next", value)


@pytest.mark.parametrize(
    "call",
    [
        lambda: keep_in_thread("kept"),
        lambda: keep_in_thread("kept").with_retry(3),
        lambda: keep_in_thread("kept").with_timeout(60),
        lambda: keep_in_thread("kept").with_cache(cs.ByInputs()),
        lambda: next_in_thread("kept"),
    ],
    ids=["alone", "retry", "timeout", "cache", "returns a call"],
)
async def test_what_a_call_gives_while_a_run_is_cancelled_is_kept(call: Any, url: str) -> None:
    """A call in a thread that ends after its run was cancelled is not made again: its value is recorded."""
    GATES.update(began=threading.Event(), ends=threading.Event())
    target = give("target", call())

    async with Engine(state_backend_cls=recorded(url)) as engine:
        running = asyncio.create_task(engine.run(target, run_id="r"))
        await asyncio.to_thread(GATES["began"].wait)
        running.cancel("enough")
        await asyncio.sleep(0)
        GATES["ends"].set()
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await running
    with closing(catalog_from_url(url)) as catalog:
        assert [each.status for each in catalog.runs()] == [RunStatus.CANCELLED]
    seen = await play(url, target)
    assert seen.value == "kept"
    assert seen.calls in (["target"], ["next", "target"])


def test_a_status_of_the_version_before_is_known() -> None:
    """What Cascade 0.1 wrote for a cancelled run is read as that."""
    assert RunStatus("stopped") is RunStatus.CANCELLED
    with pytest.raises(ValueError, match="unknown"):
        RunStatus("unknown")


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 20, 40])
async def test_a_recorded_run_may_be_cancelled_at_any_time(turns: int, url: str) -> None:
    """Whenever a recorded run is cancelled, its own cancellation comes out, and another run of that id goes on."""
    target = give("target", [give("part", 1), give("other", 2).with_retry(1)])

    async with Engine(state_backend_cls=recorded(url)) as engine:
        running = asyncio.create_task(engine.run(target, run_id="r"))
        for _ in range(turns):
            await asyncio.sleep(0)
        if running.cancel("enough"):
            with pytest.raises(asyncio.CancelledError, match="enough"):
                await running
    assert (await play(url, target)).value == [1, 2]
