"""Waiting: an event loop waits for work in another thread until that has really ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

Outcome = tuple[bool, Any] | list[Any]
"""Whether a call gave a value, and the value or the exception: a future can't carry every exception.

In a list it is taken out by whoever gets it: the frames of a thread keep what they gave, and an exception keeps them.
"""


async def ended(work: Future[Outcome], stop: Callable[[], object] | None = None, late: bool = False) -> Any:
    """Wait until work has ended, also when cancelled meanwhile; return its value or raise its exception.

    `stop` is called when that happens: it makes the work end soon, and may be called again. With `late` a value that
    the work gives all the same is returned, and the cancellation is over: a recorded run keeps it, and need not make
    the call again. An `await` must not follow then without a look at what was cancelled.
    """
    waiting = asyncio.wrap_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as request:
            if work.cancel() or waiting.cancelled():  # it had not begun
                raise
            cancelled = request
            if stop is not None:
                stop()
        except BaseException:  # noqa: BLE001 - raised again below, from the finished work
            break
    outcome: Outcome = (False, cancelled)
    if cancelled is None or (late and work.exception() is None):
        outcome = work.result()
    succeeded, result = outcome
    if isinstance(outcome, list):
        outcome.clear()
    try:
        if succeeded:
            return result
        raise result if cancelled is None else cancelled
    finally:
        del work, waiting, cancelled, outcome, result  # the traceback has this frame: they would be a cycle


def outcome(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    """Call a function; return what it gives or raises."""
    try:
        return [True, func(*args, **kwargs)]
    except BaseException as error:  # noqa: BLE001 - carried to the loop's thread and raised there
        return [False, error]
