"""Tracebacks that show the code of the user: the frames that Cascade puts around it are left out."""

from __future__ import annotations

import traceback
from types import TracebackType

from cascade.spec.calls.error_text import error_text, is_error, put_traceback, traceback_of

_OURS = (
    "asyncio",
    "cascade.adapters",
    "cascade.cli",
    "cascade.graph",
    "cascade.runtime",
    "cascade.spec",
    "concurrent",
    "contextlib",
    "importlib",
)
"""Modules whose frames say nothing about a workflow, with all modules below them."""


def trim(error: BaseException) -> None:
    """Take our frames out of the traceback of `error`, of its causes and contexts, and of the errors that it groups."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        put_traceback(current, _trimmed(traceback_of(current)))
        pending += (current.__cause__, current.__context__)
        if is_error(current, BaseExceptionGroup):
            pending.extend(current.exceptions)


def render(error: BaseException) -> str:
    """Return the traceback of `error` as Python prints it, with its notes; without them if those can't be had."""
    try:
        return "".join(traceback.format_exception(error))
    except Exception:  # noqa: BLE001 - an exception may raise from its own attributes
        return "".join([*traceback.format_tb(traceback_of(error)), error_text(error)])


def _trimmed(entry: TracebackType | None) -> TracebackType | None:
    """Return a traceback without our frames; `None` if no other frame is left."""
    kept = []
    while entry is not None:
        if not _is_ours(entry):
            kept.append(entry)
        entry = entry.tb_next
    # A traceback is a linked list whose links can't all be changed: so it is made anew, from its end.
    following = None
    for entry in reversed(kept):
        following = TracebackType(following, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return following


def _is_ours(entry: TracebackType) -> bool:
    module = str(entry.tb_frame.f_globals.get("__name__", ""))
    return any(module == ours or module.startswith(f"{ours}.") for ours in _OURS)
