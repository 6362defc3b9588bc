"""The event log: the events of a run on stderr, one line each, for people or for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import Any

import typer
from rich.console import Console
from rich.text import Text

from cascade.runtime import (
    CacheBypassed,
    Event,
    MessageBus,
    ResourceAcquired,
    ResourceReleased,
    RunFinished,
    RunStarted,
    Status,
    TaskBlocked,
    TaskEvent,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskRetrying,
    TaskSkipped,
)
from cascade.spec.terminal_text import shown


class LogLevel(StrEnum):
    """From which level on events are logged: at `info` what starts, ends and is skipped, at `debug` all."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """What a line of the log is: a sentence, or a JSON object."""

    HUMAN = "human"
    JSON = "json"


class _Rank(IntEnum):
    """The levels by importance."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


_STYLES = {_Rank.DEBUG: "dim", _Rank.INFO: "green", _Rank.WARNING: "yellow", _Rank.ERROR: "red"}


def log_events(bus: MessageBus, level: LogLevel, form: LogFormat) -> Callable[[], None]:
    """Log the events of `bus` to stderr, from `level` on; return a function that ends this."""
    lowest = _Rank[level.name]
    write = _write_event if form is LogFormat.JSON else _human_writer()
    kinds = [kind for kind, (rank, _) in _EVENTS.items() if rank >= lowest]
    ends = [bus.subscribe(kind, write) for kind in ([Event] if lowest is _Rank.DEBUG else kinds)]

    def stop() -> None:
        for end in ends:
            end()

    return stop


def write_message(form: LogFormat, text: str, record: Mapping[str, object]) -> None:
    """Write a message of the command itself to stderr: as `text` for people, or as `record` for programs."""
    if form is LogFormat.JSON:
        _write_json(record)
    else:
        typer.echo(text, err=True)


def _write_json(record: Mapping[str, object]) -> None:
    """Write one JSON object to stderr, on a line of its own and with the time in front."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    typer.echo(json.dumps({"time": now, **record}, default=str), err=True)


def _write_event(event: Event) -> None:
    facts = {field.name: getattr(event, field.name) for field in fields(event)}
    _write_json({"level": _rank(event).name.lower(), "event": type(event).__name__, **facts})


def _human_writer() -> Callable[[Event], None]:
    """Return a function that writes an event as one line, coloured if stderr is a terminal."""
    # Rich would break long lines at the width of the terminal, and colour numbers and quotes inside of them.
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def write(event: Event) -> None:
        rank = _rank(event)
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        sentence = shown(" ".join(_sentence(event).split()))  # one line, also for an error of many
        console.print(
            Text.assemble((now, "dim"), " ", (f"{rank.name.lower():7}", _STYLES[rank]), " ", sentence)
        )

    return write


def _rank(event: Event) -> _Rank:
    """Return the level that an event is shown at."""
    if getattr(event, "status", None) == Status.FAILED:
        return _Rank.ERROR
    return _EVENTS[type(event)][0] if type(event) in _EVENTS else _Rank.DEBUG


def _sentence(event: Event) -> str:
    """Return what an event says in words; for a type that has no sentence here, its fields."""
    if type(event) in _EVENTS:
        return _EVENTS[type(event)][1](event)
    facts = ", ".join(f"{field.name}={getattr(event, field.name)}" for field in fields(event))
    return f"{type(event).__name__}: {facts}"


def _who(event: TaskEvent) -> str:
    return f"{event.task_name} ({event.task_id})"


def _ended(event: RunFinished | TaskExecutionFinished, who: str) -> str:
    error = f": {event.error}" if event.error else ""
    return f"{who} {event.status.lower()} after {event.duration:.3f} s{error}"


def _retrying(event: TaskRetrying) -> str:
    which = f"retry {event.attempt} of {event.max_attempts} in {event.delay:.3g} s"
    return f"{_who(event)} failed, {which}: {event.error}"


def _released(event: ResourceReleased) -> str:
    error = f" with an error: {event.error}" if event.error else ""
    return f"resource {event.name} released{error}"


_EVENTS: dict[type[Event], tuple[_Rank, Callable[[Any], str]]] = {
    RunStarted: (_Rank.INFO, lambda event: f"run {event.run_id} of {', '.join(event.target_tasks)} started"),
    RunFinished: (_Rank.INFO, lambda event: _ended(event, f"run {event.run_id}")),
    TaskExecutionStarted: (_Rank.INFO, lambda event: f"{_who(event)} started"),
    TaskExecutionFinished: (_Rank.INFO, lambda event: _ended(event, _who(event))),
    TaskSkipped: (_Rank.INFO, lambda event: f"{_who(event)} skipped: {event.reason}"),
    TaskRetrying: (_Rank.WARNING, _retrying),
    TaskBlocked: (_Rank.DEBUG, lambda event: f"{_who(event)} waits: {event.reason}"),
    CacheBypassed: (_Rank.WARNING, lambda event: f"{_who(event)} runs without the cache: {event.reason}"),
    ResourceAcquired: (_Rank.DEBUG, lambda event: f"resource {event.name} acquired for one {event.scope}"),
    ResourceReleased: (_Rank.DEBUG, _released),
}
"""The level of each type of event, and what it says in words. A type that is not here has `debug` and shows its fields.

The end of a task has `info` even if the task failed, which is shown as an error: at the default level, `warning`,
nobody listens to tasks then, and the run is faster. The command reports the error at its end anyway.
"""
