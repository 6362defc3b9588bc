"""Running one command: the target through an engine, its result to stdout, its failure to stderr and the exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum
from functools import partial

import typer

from cascade.adapters.addresses import address_of
from cascade.cli.common_options import chosen
from cascade.cli.event_log import LogFormat, LogLevel, log_events, write_json
from cascade.cli.interrupts import Interrupts
from cascade.cli.output import ResultError, ResultFormat, print_result
from cascade.cli.tracebacks import render, trim
from cascade.runtime import MessageBus, RunStarted, UnknownParamError
from cascade.runtime.api import engine_for, run_options
from cascade.runtime.settings import RunSettings
from cascade.spec import CascadeError, InputError, SpecError, WorkflowSpec
from cascade.spec.error_text import is_error, message_of, notes_of
from cascade.spec.errors import RunActiveError, StoreError, StoreNotFoundError
from cascade.spec.lazy_types import Lazy


class ExitCode(IntEnum):
    """What a command tells the shell."""

    FAILED = 1
    USAGE = 2
    INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command runs, and with what settings, as `cs.run` takes them."""

    target: Lazy
    spec: WorkflowSpec
    settings: RunSettings

    def given(self, params: Mapping[str, object], settings: Mapping[str, object]) -> Invocation:
        """Return the invocation with these parameters and settings over those that it has.

        Raises:
            SpecError: If the settings don't go together.
        """
        merged = chosen(self.settings, settings)
        merged["params"] = {**(self.settings.get("params") or {}), **params}
        return replace(self, settings=merged)

    async def run(self, bus: MessageBus, interrupts: Interrupts) -> object:
        """Run the target in an engine of its own, which tells `bus` of it, and return its value."""
        settings: RunSettings = {**self.settings, "bus": bus}
        async with engine_for(settings) as engine:
            interrupts.watch(engine.under_way)
            return await engine.run(self.target, spec=self.spec, **run_options(settings))


def execute(
    invocation: Invocation, level: LogLevel, form: LogFormat, result: ResultFormat = ResultFormat.TEXT
) -> None:
    """Run `invocation` and print its result.

    Raises:
        typer.Exit: If it fails or is interrupted, with the exit code; stderr then says why.
    """
    bus = invocation.settings.get("bus") or MessageBus()
    stop_logging = log_events(bus, level, form)
    invocation, stop_telling = _named(invocation, bus, form)
    interrupts = Interrupts(_how_to_go_on(invocation), partial(_say_interrupted, form))
    try:
        with interrupts:
            value = asyncio.run(invocation.run(bus, interrupts))
        if interrupts.received is not None:
            raise typer.Exit(interrupts.exit_code)
    except KeyboardInterrupt:
        raise typer.Exit(interrupts.exit_code) from None
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:
        if isinstance(error, typer.Exit):
            raise
        if interrupts.received is not None:
            if not isinstance(error, asyncio.CancelledError):
                report(error, form)
            raise typer.Exit(interrupts.exit_code) from None
        report(error, form)
        raise typer.Exit(ExitCode.USAGE if _is_input(error) else ExitCode.FAILED) from None
    finally:
        stop_telling()
        stop_logging()
    try:
        print_result(value, result)
    except ResultError as error:
        report(error, form)
        raise typer.Exit(ExitCode.FAILED) from None


def _how_to_go_on(invocation: Invocation) -> str:
    """Return what to tell somebody who interrupts a run."""
    run_id = invocation.settings.get("run_id")
    if run_id is None or invocation.settings.get("state") is None:
        return "nothing of the run is recorded"
    return f"to go on later give --run-id {run_id} again"


def _say_interrupted(form: LogFormat, line: str) -> None:
    if form is LogFormat.JSON:
        write_json({"level": "warning", "event": "CommandInterrupted", "text": line})
    else:
        typer.echo(line, err=True)


def _named(invocation: Invocation, bus: MessageBus, form: LogFormat) -> tuple[Invocation, Callable[[], None]]:
    """Give a run that is recorded and has no id one, and tell it when it begins: so that somebody can go on with it.

    Returns the invocation, and a function that ends the listening.
    """
    state = invocation.settings.get("state")
    if not isinstance(state, str) or invocation.settings.get("run_id") is not None:
        return invocation, lambda: None
    run_id, store = _new_id(), address_of(state)

    def tell(event: RunStarted) -> None:
        if event.run_id == run_id:
            if form is LogFormat.JSON:
                write_json({"level": "info", "event": "RunRecorded", "run_id": run_id, "store": store})
            else:
                typer.echo(f"run {run_id} is recorded in {store}", err=True)

    named = replace(invocation, settings={**invocation.settings, "run_id": run_id})
    return named, bus.subscribe(RunStarted, tell)


def _new_id() -> str:
    """Return an id for a run that says when it began, and is short enough to be typed."""
    return f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"


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


def _is_input(error: BaseException) -> bool:
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
