"""Log lines: what a command writes to stderr while it runs, for people or for programs, one line each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple

import typer
from rich.console import Console
from rich.text import Text

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


class Rank(IntEnum):
    """The levels by importance."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class LogLine(NamedTuple):
    """One line: `sentence` with `where` behind it for people, `record` for programs."""

    rank: Rank
    sentence: str
    where: str
    record: Mapping[str, object]


WriteLine = Callable[[LogLine], None]

_STYLES = {Rank.DEBUG: "dim", Rank.INFO: "green", Rank.WARNING: "yellow", Rank.ERROR: "red"}


def line_writer(form: LogFormat) -> WriteLine:
    """Return a function that writes a line to stderr."""
    return _write_json_line if form is LogFormat.JSON else _human_writer()


def write_message(form: LogFormat, text: str, record: Mapping[str, object]) -> None:
    """Write a message of the command itself to stderr: as `text` for people, or as `record` for programs."""
    if form is LogFormat.JSON:
        _write_json(record)
    else:
        typer.echo(text, err=True)


def where_text(run_id: object, item: object = None, attempt: object = None) -> str:
    """Return in words what else is known of a call than its task."""
    facts = (("run", run_id), ("item", item), ("attempt", attempt))
    return ", ".join(f"{name} {value}" for name, value in facts if value is not None)


def _write_json_line(line: LogLine) -> None:
    _write_json({"level": line.rank.name.lower(), **line.record})


def _write_json(record: Mapping[str, object]) -> None:
    """Write one JSON object to stderr, on a line of its own and with the time in front."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    typer.echo(json.dumps({"time": now, **record}, default=str), err=True)


def _human_writer() -> WriteLine:
    """Return a function that writes one line, coloured if stderr is a terminal."""
    # Rich would break long lines at the width of the terminal, and colour numbers and quotes inside of them.
    console = Console(stderr=True, soft_wrap=True, highlight=False)

    def write(line: LogLine) -> None:
        now = datetime.now().astimezone().strftime("%H:%M:%S")
        sentence = shown(" ".join(line.sentence.split()))  # one line, also for the error of a task with many
        level = (f"{line.rank.name.lower():7}", _STYLES[line.rank])
        where = (f"  ({shown(line.where)})", "dim") if line.where else ""
        console.print(Text.assemble((now, "dim"), " ", level, " ", sentence, where))

    return write
