"""Call logging: which call a record of `logging` comes from, for whoever formats or sends the record."""

from __future__ import annotations

import logging
import sys

from cascade.adapters.call_facts import CallFacts, asking, call_at
from cascade.spec.terminal_text import shown

__all__ = ["CallLogFilter"]


class CallLogFilter(logging.Filter):
    """Puts the facts of the current call on each record: `run_id`, `task_name`, `item` and `attempt`, as events have.

    Outside of a call, and where something does not apply, they are `None`. `call` has all of them as text, and is empty
    outside of a call. What a record has already under one of these names stays as it is. No record is held back.

    Give it to handlers: `handler.addFilter(cs.CallLogFilter())`. A filter of a logger does not see the records of the
    loggers below.
    """

    def __init__(self) -> None:
        super().__init__()
        asking.is_expected = True

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the facts on a record; it goes on in any case."""
        if not hasattr(record, "call"):
            facts = call_at(sys._getframe(1))  # noqa: SLF001 - documented, in spite of its name
            for name, value in _fields(facts).items():
                if not hasattr(record, name):
                    setattr(record, name, value)
        return True


def _fields(facts: CallFacts | None) -> dict[str, object]:
    if facts is None:
        return {"run_id": None, "task_name": None, "item": None, "attempt": None, "call": ""}
    run_id, task, item, attempt = facts[:4]
    return {"run_id": run_id, "task_name": task, "item": item, "attempt": attempt, "call": call_text(facts)}


def call_text(facts: CallFacts) -> str:
    """Return a call in words, safe for a terminal and on one line: `fetch, run monday, item 3, attempt 2`."""
    run_id, task, item, attempt = facts[:4]
    where = f"run {run_id}" if item is None else f"run {run_id}, item {item}"
    return shown(f"{task}, {where}, attempt {attempt}")
