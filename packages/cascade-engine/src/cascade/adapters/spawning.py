"""How the engine and its adapters make asyncio tasks, and wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


def spawn(work: Coroutine[object, object, _T], context: Context | None = None) -> asyncio.Task[_T]:
    """Return a task that begins `work` when the running loop comes to it.

    The loop's task factory is not asked: one that begins tasks at once can't begin one in the context of its maker.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), context=context)


async def seen_through(work: Coroutine[object, object, _T]) -> _T:
    """Await `work` to its end, however often the caller is cancelled; raise the `CancelledError` afterwards."""
    task = spawn(work)
    cancelled = await ended(task, lambda request: None)
    if cancelled is None:
        return task.result()
    try:
        task.exception()  # asked for: asyncio reports an exception that nobody has retrieved
        raise cancelled
    finally:
        cancelled = None  # its traceback has this frame: they would be a cycle


async def ended(
    task: asyncio.Future[Any], on_cancel: Callable[[asyncio.CancelledError], None]
) -> asyncio.CancelledError | None:
    """Wait until `task` has ended. Call `on_cancel` with each cancellation of the caller, and return the first one."""
    first: asyncio.CancelledError | None = None
    while not task.done():
        waiting = asyncio.get_running_loop().create_future()
        wake = partial(_wake, waiting)
        task.add_done_callback(wake)
        try:
            await waiting
        except asyncio.CancelledError as request:
            task.remove_done_callback(wake)
            on_cancel(request)
            first = request if first is None else first
    try:
        return first
    finally:
        del first  # as above


def _wake(waiting: asyncio.Future[None], task: asyncio.Future[Any]) -> None:
    if not waiting.done():
        waiting.set_result(None)
