"""Running one command: the target through an engine, its result to stdout, its failure to stderr and the exit code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import typer

from cascade.adapters.addresses import address_of
from cascade.cli.common_options import chosen
from cascade.cli.event_log import LogFormat, LogLevel, log_events, write_json
from cascade.cli.failures import ExitCode, is_wrong_input, report
from cascade.cli.interrupts import Interrupts
from cascade.cli.output import ResultError, ResultFormat, print_result
from cascade.runtime import MessageBus, RunStarted
from cascade.runtime.api import engine_for, run_options
from cascade.runtime.settings import RunSettings
from cascade.spec import WorkflowSpec
from cascade.spec.lazy_types import Lazy


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
        raise typer.Exit(ExitCode.USAGE if is_wrong_input(error) else ExitCode.FAILED) from None
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
