"""Call facts: what is known of a call while it is made, and where its own code finds that.

Calls that are made one after another in the event loop's thread are found on the stack, when somebody asks: so they
cost nothing more. Calls in threads and in other processes have their facts in their context.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple

from cascade.spec.errors import CascadeError

__all__ = ["CallFacts", "NoCurrentCallError", "facts_in_context"]


class CallFacts(NamedTuple):
    """What the engine knows of a call: the name of its run and of its task.

    `item` is its index in a map, and `attempt` counts from 1. `idempotency_key` is there if the task takes it.
    `trace` names the current span for a call in another process, as W3C trace context, if there is one.
    """

    run_id: str
    task: str
    item: int | None = None
    attempt: int = 1
    idempotency_key: str | None = None
    trace: tuple[tuple[str, str], ...] = ()


class NoCurrentCallError(CascadeError, LookupError):
    """`cs.current_call` was called by code that is no part of a call."""

    def __str__(self) -> str:
        return (
            "cs.current_call() was called outside of a call; call it in a task or in what the task calls. A thread "
            "that a task starts has to run in contextvars.copy_context(). An asyncio task that it starts knows its "
            "call if cs.current_call was looked up before the call began: import it with the module of the task"
        )


facts_in_context: ContextVar[tuple[Any, ...] | None] = ContextVar("cascade_call", default=None)
"""The call that this context is a part of, as `CallFacts` or as the first fields of it: that is quicker to make."""

FindOnStack = Callable[[FrameType], CallFacts | None]
"""Finds the call that the code of a frame is a part of."""

_finders: list[FindOnStack] = []


class Asking:
    """Whether somebody may ask for the current call in an asyncio task that a coroutine has started.

    Such a task has no stack that leads to the call, so this must be in its context. To put it there takes a twentieth
    of the time that the engine takes for a coroutine: that is left out until somebody has looked up `current_call`.
    """

    __slots__ = ("is_expected",)

    def __init__(self) -> None:
        self.is_expected = False


asking = Asking()


def find_also(find: FindOnStack) -> None:
    """Let calls also be found by a function that looks at the stack."""
    _finders.append(find)


def call_at(frame: FrameType) -> CallFacts | None:
    """Return the facts of the call that the code of this frame, in this context, is a part of; `None` if of none."""
    # No event loop runs inside of another one in the same thread, so a call on the stack is the innermost one.
    for find in _finders:
        facts = find(frame)
        if facts is not None:
            return facts
    known = facts_in_context.get()
    return None if known is None else CallFacts(*known)
