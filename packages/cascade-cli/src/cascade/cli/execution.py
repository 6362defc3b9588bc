"""Running one command: the target through an engine, its result to stdout, its failure to stderr and the exit code."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from pprint import pformat
from typing import Any

import typer

from cascade.cli.event_log import LogFormat, LogLevel, log_events, write_json
from cascade.cli.tracebacks import render, trim
from cascade.runtime import Engine, MessageBus, OnFailure, UnknownParamError
from cascade.spec import CascadeError, InputError, LazyResult, Resource, WorkflowSpec


class ExitCode(IntEnum):
    """What a command tells the shell."""

    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command runs, and with what; `engine` makes an engine, given its `bus=`."""

    target: LazyResult[Any]
    spec: WorkflowSpec
    params: Mapping[str, object]
    resources: tuple[Resource, ...]
    engine: Callable[..., Engine]
    run_id: str | None
    on_failure: str | OnFailure

    def with_params(self, params: Mapping[str, object]) -> Invocation:
        """Return the invocation with these parameters over those that it has."""
        return replace(self, params={**self.params, **params})

    async def run(self, bus: MessageBus) -> object:
        """Run the target in an engine of its own and return its value."""
        async with self.engine(bus=bus) as engine:
            for resource in self.resources:
                engine.register(resource)
            options: dict[str, Any] = {"run_id": self.run_id, "on_failure": self.on_failure}
            return await engine.run(self.target, params=self.params, spec=self.spec, **options)


def execute(invocation: Invocation, level: LogLevel, form: LogFormat) -> None:
    """Run `invocation` and print its result.

    Raises:
        typer.Exit: If it fails, with the exit code; stderr then says why.
    """
    bus = MessageBus()
    log_events(bus, level, form)
    try:
        value = asyncio.run(invocation.run(bus))
    except KeyboardInterrupt:
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 - the user's tasks
        report(error, form)
        is_input = isinstance(error, (InputError, UnknownParamError)) and is_plain(error)
        raise typer.Exit(ExitCode.USAGE if is_input else ExitCode.FAILED) from None
    show(value)


def report(error: BaseException, form: LogFormat = LogFormat.HUMAN) -> None:
    """Write to stderr why the command failed: a line and its notes for a plain error, a traceback for any other."""
    trim(error)
    text = (
        "\n".join([f"Error: {error}", *getattr(error, "__notes__", ())]) if is_plain(error) else render(error)
    )
    if form is LogFormat.JSON:
        write_json({"level": "error", "event": "CommandFailed", "error": str(error), "text": text})
    else:
        typer.echo(text.rstrip("\n"), err=True)


def is_plain(error: BaseException) -> bool:
    """Tell whether a trimmed error is Cascade's own, with no code of the user's behind it: its text says it all."""
    return isinstance(error, CascadeError) and error.__traceback__ is None


def show(value: object) -> None:
    """Print a result: text as it is, containers laid out, `None` not at all."""
    if value is None:
        return
    laid_out = isinstance(value, (list, tuple, dict, set, frozenset)) or dataclasses.is_dataclass(value)
    typer.echo(pformat(value, sort_dicts=False) if laid_out or isinstance(value, bytes) else str(value))
