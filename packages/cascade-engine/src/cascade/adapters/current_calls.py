"""Current calls: what the code of a task can learn of the call that it is a part of, wherever that is made."""

from __future__ import annotations

import sys

from cascade.adapters.call_facts import CallFacts, NoCurrentCallError, asking, call_at

__all__ = ["CallFacts", "NoCurrentCallError", "current_call"]

asking.is_expected = True


def current_call() -> CallFacts:
    """Return the facts of the call that this code is a part of: its run, task, item and attempt.

    It works in the task and in all that it calls, in whatever way the call is made: in the event loop, in a thread or
    in another process. Asyncio tasks and threads that the task starts have it too if they run in a copy of its context,
    as those of `asyncio` do.

    Raises:
        NoCurrentCallError: If this code is no part of a call.
    """
    facts = call_at(sys._getframe(1))  # noqa: SLF001 - documented, in spite of its name
    if facts is None:
        raise NoCurrentCallError
    return facts
