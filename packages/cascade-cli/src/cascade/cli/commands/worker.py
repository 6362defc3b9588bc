"""`cascade worker`: a process that goes on with runs that were interrupted, until a signal ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cascade.adapters.addresses import address_of
from cascade.cli.common_options import merged_settings
from cascade.cli.event_log import log_events
from cascade.cli.failures import ExitCode, is_wrong_input, report, reported
from cascade.cli.interrupts import Interrupts
from cascade.cli.log_lines import LogFormat, LogLevel, LogLine, Rank, WriteLine, line_writer, where_text
from cascade.cli.record_log import log_records
from cascade.cli.target_loading import load_resources
from cascade.runtime import MessageBus, RecoveredRun, RecoveryOutcome
from cascade.runtime.api import engine_for
from cascade.runtime.settings import RECOVERY_SETTINGS, RecoverySettings, RunSettings
from cascade.spec import SpecError, StoreError
from cascade.spec.calls.error_text import error_text
from cascade.spec.late_dataclasses import dataclass

POLL_SECONDS = 5.0
"""How long a worker waits between two looks at the store."""

_SENTENCES = {
    RecoveryOutcome.SUCCEEDED: (Rank.INFO, "the run went on and succeeded"),
    RecoveryOutcome.FAILED: (Rank.ERROR, "the run went on and failed"),
    RecoveryOutcome.CANCELLED: (Rank.WARNING, "the run went on and was cancelled"),
    RecoveryOutcome.WAITING: (Rank.WARNING, "the run waits"),
    RecoveryOutcome.REFUSED: (Rank.ERROR, "the run can't go on here"),
    RecoveryOutcome.ABANDONED: (Rank.ERROR, "the run is left alone"),
    RecoveryOutcome.TAKEN: (Rank.DEBUG, "another process was quicker"),
    RecoveryOutcome.LEFT: (Rank.WARNING, "the run went on and is left unfinished"),
}
_ALWAYS = Rank.INFO
"""From here on a worker tells what it does itself, whatever the level of the log."""


def worker(
    modules: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE_OR_MODULE...", help="Where the workflows of the runs are.", show_default=False
        ),
    ],
    once: Annotated[
        bool, typer.Option("--once", help="Look once, and end when all runs have ended.")
    ] = False,
    **given: Any,
) -> None:
    """Go on with runs that were interrupted and have kept their inputs, until Ctrl-C or SIGTERM.

    There may be any number of workers, on any number of hosts: each run is driven by one at a time. A worker reads
    secrets from CASCADE_SECRET_<NAME>, or from a folder of files.
    """
    form = given["log_format"] or LogFormat.HUMAN
    level = given["log_level"] or LogLevel.WARNING
    with reported(form):
        recovery: Any = {name: given.pop(name) for name in RECOVERY_SETTINGS if name in given}
        settings = _settings(given, modules)
        if once and recovery["poll"] is not None:
            raise SpecError("both --once and --poll", "give one of the two")
        log = _WorkerLog(line_writer(form), Rank[level.name])
        recovery = {name: _plain(value) for name, value in recovery.items() if value is not None}
        recovery.update(told=log.tell, **({} if once or "poll" in recovery else {"poll": POLL_SECONDS}))
    bus = settings["bus"]
    assert bus is not None
    ends = [log_events(bus, level, form), log_records(level, form)]
    try:
        _work(settings, recovery, log, form)
    finally:
        for end in ends:
            end()


def _settings(given: Mapping[str, object], modules: Sequence[str]) -> RunSettings:
    """Return the settings of the engine; what is named is imported.

    Raises:
        SpecError: If the settings do not go together, or no store is given.
        TargetNotFoundError: If there is no such file or module.
    """
    own = {name: value for name, value in given.items() if name not in ("log_level", "log_format")}
    settings = merged_settings({}, own)
    if not isinstance(settings.get("state"), str):
        raise SpecError("a worker without a store", "give its URL, --state sqlite:///runs.db")
    resources = {id(each): each for where in modules for each in load_resources(where)}
    return {**settings, "resources": tuple(resources.values()), "bus": MessageBus()}


def _work(settings: RunSettings, recovery: RecoverySettings, log: _WorkerLog, form: LogFormat) -> None:
    """Work in an event loop of its own, until a signal ends it, or everything is done.

    Raises:
        typer.Exit: If the worker itself fails.
    """
    interrupts = Interrupts("other workers can go on with the runs", log.say)

    async def work() -> None:
        async with engine_for(settings) as engine:
            interrupts.watch(engine.under_way)
            log.begin(address_of(str(settings["state"])), recovery.get("poll"))
            await engine.recover(**recovery)

    try:
        with interrupts:
            asyncio.run(work())
    except KeyboardInterrupt:
        pass  # it came before there was anything to end
    except (Exception, BaseExceptionGroup, asyncio.CancelledError) as error:  # noqa: BLE001 - also of user's resources
        if interrupts.received is None or not isinstance(error, asyncio.CancelledError):
            report(error, form)
            raise typer.Exit(ExitCode.USAGE if is_wrong_input(error) else ExitCode.FAILED) from None
    log.end()


@dataclass(frozen=True, slots=True)
class _WorkerLog:
    """Writes what a worker does: lines of the log of all commands, those of the worker itself at any level."""

    write: WriteLine
    lowest: Rank

    def begin(self, store: str, poll: float | None) -> None:
        """Tell that the worker begins."""
        how = "once" if poll is None else f"every {poll:g} s"
        self._line(
            Rank.INFO,
            f"the worker looks {how} for runs in {store}",
            "",
            {"event": "WorkerStarted", "store": store},
        )

    def end(self) -> None:
        """Tell that the worker ends in order."""
        self._line(Rank.INFO, "the worker has ended", "", {"event": "WorkerEnded"})

    def say(self, line: str) -> None:
        """Tell that a signal has come."""
        self._line(Rank.WARNING, line, "", {"event": "CommandInterrupted", "text": line})

    def tell(self, run: RecoveredRun | StoreError) -> None:
        """Tell what has become of a run, or that the store could not be looked at."""
        if isinstance(run, StoreError):
            problem = error_text(run)
            self._line(
                Rank.WARNING,
                f"the store can't be looked at: {problem}",
                "",
                {"event": "LookFailed", "error": problem},
            )
            return
        rank, sentence = _SENTENCES[run.outcome]
        error = None if run.error is None else error_text(run.error)
        why = f": {error}" if error is not None and run.outcome is not RecoveryOutcome.TAKEN else ""
        facts = {"event": "RunRecovered", "run_id": run.run_id, "outcome": run.outcome.value, "error": error}
        self._line(rank, sentence + why, where_text(run.run_id), facts)

    def _line(self, rank: Rank, sentence: str, where: str, record: Mapping[str, object]) -> None:
        if rank >= min(_ALWAYS, self.lowest):
            self.write(LogLine(rank, sentence, where, record))


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else getattr(value, "value", value)
