"""Coroutines that run in the event loop of another thread, while this one goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LOOK_SECONDS = 1.0
"""How often to look whether the other loop still runs: whoever stops it does not think of what waits for it."""


class LoopEndedError(Exception):
    """The loop in which a coroutine ran, or was to run, has ended."""


async def run_in(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a loop and wait until it has really ended, also when cancelled: it is cancelled there.

    Raises:
        LoopEndedError: If that loop ends before.
    """
    if loop is asyncio.get_running_loop():
        return await work
    outcome: Future[T] = Future()
    tasks: list[asyncio.Task[T]] = []
    is_cancelled = False
    try:
        loop.call_soon_threadsafe(lambda: tasks.append(_begun(work, outcome)))
        waiting = asyncio.wrap_future(outcome)
        while not waiting.done():
            try:
                await asyncio.wait([waiting], timeout=_LOOK_SECONDS)
            except asyncio.CancelledError:
                if waiting.done():
                    raise
                is_cancelled = True
                loop.call_soon_threadsafe(lambda: tasks[0].cancel())
            if not (waiting.done() or loop.is_running()):
                raise LoopEndedError
    except RuntimeError as error:  # it is closed
        raise LoopEndedError from error
    finally:
        if not tasks:
            work.close()
    if waiting.cancelled() and not is_cancelled:  # a loop that is stopped cancels what runs there
        raise LoopEndedError
    return waiting.result()


def _begun(work: Coroutine[Any, Any, T], outcome: Future[T]) -> asyncio.Task[T]:
    """Begin a coroutine in the loop that runs here, and tell its outcome."""

    def end(task: asyncio.Task[T]) -> None:
        if task.cancelled():
            outcome.cancel()
        elif (error := task.exception()) is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(task.result())

    task = asyncio.get_running_loop().create_task(work)
    task.add_done_callback(end)
    return task
