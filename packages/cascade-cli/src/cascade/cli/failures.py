"""Failures: what a command says of an error on stderr, and the exit code that it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from cascade.cli.event_log import LogFormat, write_json
from cascade.cli.tracebacks import render, trim
from cascade.runtime import UnknownParamError
from cascade.spec import CascadeError, InputError, SpecError
from cascade.spec.error_text import is_error, message_of, notes_of
from cascade.spec.errors import RunActiveError, StoreError, StoreNotFoundError


class ExitCode(IntEnum):
    """What a command tells the shell."""

    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


@contextmanager
def reported(form: LogFormat = LogFormat.HUMAN) -> Iterator[None]:
    """Turn what goes wrong outside a run into a message and an exit code.

    Raises:
        typer.Exit: With 2 if something was asked for that is not there or makes no sense; with 1 if it is there and
            can't be had, or if the file's own code failed.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - whatever the user's file raises
        report(error, form)
        raise typer.Exit(ExitCode.USAGE if _is_asked_wrong(error) else ExitCode.FAILED) from None


def is_wrong_input(error: BaseException) -> bool:
    """Tell whether a run failed because of what it was given, before it began: a `SpecError` of a task has notes."""
    if isinstance(error, SpecError):
        return is_plain(error) and not notes_of(error)
    return isinstance(error, (InputError, UnknownParamError)) and is_plain(error)


def _is_asked_wrong(error: Exception) -> bool:
    if isinstance(error, (StoreError, RunActiveError)) and not isinstance(error, StoreNotFoundError):
        return False
    return is_plain(error)


def report(error: BaseException, form: LogFormat = LogFormat.HUMAN) -> None:
    """Write to stderr why the command failed: a line and its notes for a plain error, a traceback for any other."""
    trim(error)
    text = "\n".join([f"Error: {message_of(error)}", *notes_of(error)]) if is_plain(error) else render(error)
    if form is LogFormat.JSON:
        write_json({"level": "error", "event": "CommandFailed", "error": message_of(error), "text": text})
    else:
        typer.echo(text.rstrip("\n"), err=True)


def is_plain(error: BaseException) -> bool:
    """Tell whether a trimmed error is Cascade's own, with no code of the user's behind it: its text says it all."""
    return is_error(error, CascadeError) and error.__traceback__ is None
