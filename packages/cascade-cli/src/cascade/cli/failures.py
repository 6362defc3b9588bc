"""Failures: what a command says of an error on stderr, and the exit code that it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import typer

from cascade.cli.log_lines import LogFormat, write_message
from cascade.cli.tracebacks import render, trim
from cascade.runtime import UnknownParamError
from cascade.spec import CascadeError, InputError, SpecError
from cascade.spec.calls.error_text import is_error, message_of, notes_of
from cascade.spec.errors import KeptInputError, RunActiveError, StoreError, StoreNotFoundError
from cascade.spec.terminal_text import shown_lines


class ExitCode(IntEnum):
    """What a command tells the shell when it has not succeeded.

    A run that a signal interrupts ends with 128 and the number of the signal instead.
    """

    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


@contextmanager
def reported(form: LogFormat = LogFormat.HUMAN) -> Iterator[None]:
    """Turn an error of the `with` block into a message and an exit code; for all that a command does outside a run.

    Raises:
        typer.Exit: With `USAGE` if something was asked for that is not there or makes no sense; with `FAILED` if it is
            there and can't be had, or if code of the user's file failed.
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


def _is_asked_wrong(error: Exception) -> bool:
    """Tell whether the command line asked for something that is not there: a store that is there may still fail."""
    if isinstance(error, (StoreError, RunActiveError)) and not isinstance(error, StoreNotFoundError):
        return False
    return is_plain(error)


def is_wrong_input(error: BaseException) -> bool:
    """Tell whether a run failed for what it was given, before it began.

    A `SpecError` that comes from a task is the fault of the workflow; it has a note that names the task.
    """
    if isinstance(error, SpecError):
        return is_plain(error) and not notes_of(error)
    return isinstance(error, (InputError, KeptInputError, UnknownParamError)) and is_plain(error)


def report(error: BaseException, form: LogFormat = LogFormat.HUMAN) -> None:
    """Write to stderr why the command failed: a plain error as a line and its notes, any other as a traceback."""
    trim(error)
    text = "\n".join([f"Error: {message_of(error)}", *notes_of(error)]) if is_plain(error) else render(error)
    record = {"level": "error", "event": "CommandFailed", "error": message_of(error), "text": text}
    write_message(form, shown_lines(text.rstrip("\n")), record)


def is_plain(error: BaseException) -> bool:
    """Tell whether an error, once trimmed, is Cascade's own with no code of the user behind it.

    Then its text says all that there is to say, and a traceback would only hide it.
    """
    return is_error(error, CascadeError) and error.__traceback__ is None
