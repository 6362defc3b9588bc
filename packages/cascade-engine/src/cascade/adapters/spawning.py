"""Spawning: how the engine makes its asyncio tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


def spawn(work: Coroutine[Any, Any, _T], context: Context | None = None) -> asyncio.Task[_T]:
    """Begin `work` in a later turn of the running loop.

    The loop's task factory is left out: one that begins tasks at once can't begin one in the context of its maker.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), context=context)


async def seen_through(work: Coroutine[Any, Any, _T]) -> _T:
    """Await `work` to its end, however often the caller is cancelled meanwhile: that is raised afterwards."""
    task = spawn(work)
    cancelled = await ended(task, lambda request: None)
    if cancelled is None:
        return task.result()
    try:
        task.exception()  # is not told of as one that nobody asked for
        raise cancelled
    finally:
        cancelled = None  # its traceback has this frame: they would be a cycle


async def ended(
    task: asyncio.Task[Any], told: Callable[[asyncio.CancelledError], None]
) -> asyncio.CancelledError | None:
    """Wait until `task` has ended; return what the caller was first cancelled with, each time `told` of it."""
    first: asyncio.CancelledError | None = None
    while not task.done():
        waiting = asyncio.get_running_loop().create_future()
        wake = partial(_wake, waiting)
        task.add_done_callback(wake)
        try:
            await waiting
        except asyncio.CancelledError as request:
            task.remove_done_callback(wake)
            told(request)
            first = request if first is None else first
    try:
        return first
    finally:
        del first  # as above


def _wake(waiting: asyncio.Future[None], task: asyncio.Task[Any]) -> None:
    if not waiting.done():
        waiting.set_result(None)
