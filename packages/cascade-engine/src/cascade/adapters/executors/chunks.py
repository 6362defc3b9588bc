"""Chunks: several calls that go to a worker together, and what comes back of them.

The calls of a chunk are made one after the other. Each has an end of its own. They are calls of one task, or a chain:
then each takes what the one before has given.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from cascade.adapters.call_facts import CallFacts, facts_in_context
from cascade.spec.calls.error_text import is_error

CHUNK_SECONDS = 0.02
"""After this time a worker tells what has ended and gives back the calls of its chunk that have not begun."""


class ChunkCall(NamedTuple):
    """One call of a chunk."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    facts: CallFacts


class EarlierResult:
    """Stands, in the arguments of a call of a chain, for what the call at `position` of that chain gives."""

    __slots__ = ("position",)

    def __init__(self, position: int) -> None:
        self.position = position

    def __repr__(self) -> str:
        return f"<the result of call {self.position}>"


class CallEnd(NamedTuple):
    """How the call at `position` in its chunk has ended: with `value`, or with `error` if that is not `None`.

    `began` and `ended` are times of `time.monotonic`, measured where the call was made, by the worker of that name.
    """

    position: int
    value: Any
    error: BaseException | None
    began: float
    ended: float
    worker: str


class Progress(NamedTuple):
    """What has happened to a chunk since the progress before: the calls that have ended, and the one under way.

    All by their positions. The calls at `given_back` have not begun, and this worker will not make them.
    """

    ends: Sequence[CallEnd]
    under_way: int | None = None
    given_back: Sequence[int] = ()


async def execute_each(
    execute: Callable[[ChunkCall], Awaitable[object]], calls: Sequence[ChunkCall]
) -> AsyncIterator[Progress]:
    """Make the calls of a chunk one after the other, each with `execute`: for executors that make single calls."""
    for index, call in enumerate(calls):
        value, failure = None, None
        facts_in_context.set(call.facts)
        began = time.monotonic()
        try:
            value = await execute(call)
        except GeneratorExit:
            raise
        except BaseException as error:
            if is_error(error, asyncio.CancelledError) and _is_cancelled():
                raise
            failure = error
        ended = time.monotonic()
        try:
            following = index + 1 if index + 1 < len(calls) else None
            yield Progress([CallEnd(index, value, failure, began, ended, "")], following)
        finally:
            del failure  # its traceback has this frame: they would be a cycle


def _is_cancelled() -> bool:
    """Tell whether the current asyncio task was asked to end, so that a cancellation is not the call's own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
