"""Execution: one run of a command. The result goes to stdout, all else to stderr; the exit code says how it ended."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import typer

from cascade.adapters.addresses import address_of
from cascade.cli.common_options import merged_settings
from cascade.cli.event_log import log_events
from cascade.cli.failures import ExitCode, is_wrong_input, report
from cascade.cli.interrupts import Interrupts
from cascade.cli.log_lines import LogFormat, LogLevel, write_message
from cascade.cli.output import ResultError, ResultFormat, print_result
from cascade.cli.progress_display.showing import display_by
from cascade.cli.record_log import log_records
from cascade.runtime import MessageBus, RunStarted
from cascade.runtime.api import engine_for, run_options
from cascade.runtime.progress.run_progress import RunProgress
from cascade.runtime.settings import RunSettings
from cascade.spec import WorkflowSpec
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import Lazy


@dataclass(frozen=True, slots=True)
class Invocation:
    """What a command runs: the target, the inputs that it declares, and the settings as `cs.run` takes them.

    `workflow` is what the target came from: a function, or the target itself. A run that keeps its inputs is given it.
    """

    target: Lazy
    spec: WorkflowSpec
    settings: RunSettings
    workflow: object

    def given(self, params: Mapping[str, object], settings: Mapping[str, object]) -> Invocation:
        """Return the invocation with these parameters and settings over those that it has.

        Raises:
            SpecError: If the settings do not go together.
        """
        merged = merged_settings(self.settings, settings)
        merged["params"] = {**(self.settings.get("params") or {}), **params}
        return replace(self, settings=merged)

    async def run(self, bus: MessageBus, interrupts: Interrupts) -> object:
        """Run the target in an engine of its own, whose events go to `bus`, and return its value."""
        settings: RunSettings = {**self.settings, "bus": bus}
        async with engine_for(settings) as engine:
            interrupts.watch(engine.under_way)
            if settings.get("keep_inputs"):
                return await engine.run(self.workflow, **run_options(settings))
            return await engine.run(self.target, spec=self.spec, **run_options(settings))


def execute(
    invocation: Invocation, level: LogLevel, form: LogFormat, result: ResultFormat = ResultFormat.TEXT
) -> None:
    """Run `invocation` and print its result; what happens meanwhile is logged from `level` on.

    Raises:
        typer.Exit: If it fails or is interrupted, with the exit code; stderr then says why.
    """
    bus = invocation.settings.get("bus") or MessageBus()
    invocation = _with_display(invocation, form)
    stop_logging, stop_records = log_events(bus, level, form), log_records(level, form)
    invocation, stop_announcing = _with_run_id(invocation, bus, form)
    try:
        value = _value(invocation, bus, form)
    finally:
        stop_announcing()
        stop_logging()
        stop_records()
    try:
        print_result(value, result)
    except ResultError as error:
        report(error, form)
        raise typer.Exit(ExitCode.FAILED) from None


def _value(invocation: Invocation, bus: MessageBus, form: LogFormat) -> object:
    """Run `invocation` in an event loop of its own, while signals interrupt it, and return its value.

    Raises:
        typer.Exit: If it fails or is interrupted.
    """

    def say(line: str) -> None:
        write_message(form, line, {"level": "warning", "event": "CommandInterrupted", "text": line})

    interrupts = Interrupts(_how_to_go_on(invocation), say)
    try:
        with interrupts:
            value = asyncio.run(invocation.run(bus, interrupts))
    except typer.Exit:
        raise
    except KeyboardInterrupt:
        raise typer.Exit(interrupts.exit_code) from None
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 - of the workflow
        if interrupts.received is None:
            report(error, form)
            raise typer.Exit(ExitCode.USAGE if is_wrong_input(error) else ExitCode.FAILED) from None
        if not isinstance(error, asyncio.CancelledError):  # that is how an interrupted run ends in order
            report(error, form)
        raise typer.Exit(interrupts.exit_code) from None
    if interrupts.received is not None:  # it came when the run had its value already
        raise typer.Exit(interrupts.exit_code)
    return value


def _how_to_go_on(invocation: Invocation) -> str:
    """Return what to tell somebody who interrupts a run about going on with it."""
    run_id = invocation.settings.get("run_id")
    if run_id is None or invocation.settings.get("state") is None:
        return "nothing of the run is recorded"
    return f"to go on later give --run-id {run_id} again"


def _with_run_id(
    invocation: Invocation, bus: MessageBus, form: LogFormat
) -> tuple[Invocation, Callable[[], None]]:
    """Return the invocation with a run id, if its run is recorded and has none, and announce the id on stderr.

    Without it nobody could go on with the run. It is announced when the run begins; the function that comes with the
    invocation ends the listening for that.
    """
    state = invocation.settings.get("state")
    if not isinstance(state, str) or invocation.settings.get("run_id") is not None:
        return invocation, lambda: None
    run_id, store = _new_run_id(), address_of(state)

    def announce(event: RunStarted) -> None:
        if event.run_id == run_id:  # the bus may be the script's own, and tell of other runs too
            record = {"level": "info", "event": "RunRecorded", "run_id": run_id, "store": store}
            write_message(form, f"run {run_id} is recorded in {store}", record)

    named = replace(invocation, settings={**invocation.settings, "run_id": run_id})
    return named, bus.subscribe(RunStarted, announce)


def _with_display(invocation: Invocation, form: LogFormat) -> Invocation:
    """Return the invocation with what shows its progress, unless that is turned off; commands show it by default."""
    progress = invocation.settings.get("progress")
    if progress is False or callable(progress):
        return invocation

    def say(lines: Sequence[str], progress: RunProgress) -> None:
        facts = {"run_id": progress.run_id, "done": progress.done, "total": progress.total}
        record = {"level": "info", "event": "RunProgress", **facts, "text": "\n".join(lines)}
        write_message(form, "\n".join(lines), record)

    least = 0.0 if progress else _SILENT_SECONDS
    display = display_by(say, least=least, only_lines=form is LogFormat.JSON)
    return replace(invocation, settings={**invocation.settings, "progress": display})


_SILENT_SECONDS = 1.0
"""Of a run that was shorter a command says nothing, unless it was asked to or stderr is a terminal."""


def _new_run_id() -> str:
    """Return a run id that says when the run began, is short enough to be typed, and is taken by no other run."""
    return f"{datetime.now().astimezone():%Y%m%d-%H%M%S}-{os.urandom(4).hex()}"
