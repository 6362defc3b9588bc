"""The record log: what tasks say with `logging` during a command, in the lines of the command's own log.

A script that has set up logging by itself keeps what it has; only the facts of the call are put on its records.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from cascade.adapters.call_logging import CallLogFilter
from cascade.cli.log_lines import LogFormat, LogLevel, LogLine, Rank, WriteLine, line_writer, where_text

_LEVELS = {
    Rank.DEBUG: logging.DEBUG,
    Rank.INFO: logging.INFO,
    Rank.WARNING: logging.WARNING,
    Rank.ERROR: logging.ERROR,
}


def log_records(level: LogLevel, form: LogFormat) -> Callable[[], None]:
    """Write the records of all loggers to stderr, from `level` on; return a function that ends this.

    Where the root logger has handlers, these get the facts of calls, and nothing else changes.
    """
    root, facts = logging.getLogger(), CallLogFilter()
    if root.handlers:
        handlers = [*root.handlers]
        for each in handlers:
            each.addFilter(facts)

        def leave() -> None:
            for each in handlers:
                each.removeFilter(facts)

        return leave
    handler, before = _RecordHandler(line_writer(form)), root.level
    handler.addFilter(facts)
    root.addHandler(handler)
    root.setLevel(_LEVELS[Rank[level.name]])

    def stop() -> None:
        root.removeHandler(handler)
        root.setLevel(before)

    return stop


class _RecordHandler(logging.Handler):
    """Writes records as lines of the command's log."""

    def __init__(self, write: WriteLine) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record; what goes wrong in it is reported as `logging` does."""
        try:
            self._write(_line_of(record))
        except Exception:  # noqa: BLE001 - the arguments of a record are the user's own, and do what they like
            self.handleError(record)


_PLAIN = logging.Formatter("%(message)s")
"""Adds the traceback, if the record has one."""


def _line_of(record: logging.LogRecord) -> LogLine:
    run_id, task, item, attempt = (
        getattr(record, name, None) for name in ("run_id", "task_name", "item", "attempt")
    )
    text = _PLAIN.format(record)
    where = "" if task is None else f"{task}, {where_text(run_id, item, attempt)}"
    facts = {"run_id": run_id, "task_name": task, "item": item, "attempt": attempt}
    return LogLine(
        _rank(record.levelno),
        f"{record.name}: {text}",
        where,
        {"event": "LogRecord", **facts, "logger": record.name, "text": text},
    )


def _rank(level: int) -> Rank:
    return max((rank for rank, least in _LEVELS.items() if level >= least), default=Rank.DEBUG)
