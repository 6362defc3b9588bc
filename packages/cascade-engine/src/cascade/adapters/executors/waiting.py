"""Waits in an event loop until work in another thread has really ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeAlias

from cascade.adapters.call_facts import CallFacts, facts_in_context

Outcome: TypeAlias = tuple[bool, Any] | list[Any]
"""Whether a call returned a value, and the value or the exception: a future can't carry every exception.

A list is emptied by whoever gets it. The frames of a thread keep what they returned, and an exception keeps these
frames: without that, the value would live as long as the exception.
"""


async def wait_until_done(
    work: Future[Outcome], stop: Callable[[], object] | None = None, late: bool = False
) -> Any:
    """Wait until work has ended, also when cancelled meanwhile; return its value or raise its exception.

    `stop` is called at each cancellation: it makes the work end soon. With `late`, if the work returns a value all the
    same, that is returned and the cancellation is dropped: a recorded run keeps the value, and need not make the call
    again. The caller must not `await` after that before it has looked whether it was cancelled.
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


def outcome_of(
    func: Callable[..., object],
    args: tuple[object, ...],
    kwargs: dict[str, object],
    facts: CallFacts | None = None,
) -> Outcome:
    """Call a function; return its value, or the exception that it raises. `facts` are those of its call."""
    if facts is not None:
        facts_in_context.set(facts)
    try:
        return [True, func(*args, **kwargs)]
    except BaseException as error:  # noqa: BLE001 - carried to the loop's thread and raised there
        return [False, error]
