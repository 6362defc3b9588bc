"""A watched run: one that another process drives, shown while it goes on, as far as its store knows."""

from __future__ import annotations

import time

import typer

from cascade.adapters.state import Catalog
from cascade.adapters.state.damage import checking
from cascade.cli.progress_display.showing import show_progress
from cascade.runtime.progress.run_progress import RunProgress
from cascade.runtime.recorded_runs.recorded_run import RecordedRun
from cascade.spec import RunStatus
from cascade.spec.terminal_text import shown

LOOK_SECONDS = 0.5
"""How often the store is looked at: it gets a timeline as often at most."""


class WatchedRun:
    """Looks at one run of a store again and again.

    Raises:
        RunNotFoundError: If the store does not have it.
        RunDamagedError: If it can't be read.
    """

    def __init__(self, catalog: Catalog, run_id: str, store: str) -> None:
        self._catalog = catalog
        self._run_id = run_id
        self._store = store
        self._run = self._look()

    def follow(self) -> bool:
        """Show the run until it has ended or nobody drives it any more; return whether it has succeeded.

        Raises:
            CascadeError: If the store can't be read any more, or the run was deleted.
        """
        end = show_progress(self._progress)
        try:
            while self._run.summary.status is RunStatus.RUNNING and not self._run.summary.is_interrupted:
                time.sleep(LOOK_SECONDS)
                self._run = self._look()
        finally:
            end()
        if self._run.summary.is_interrupted:
            typer.echo(f"run {shown(self._run_id)} is interrupted: no process drives it", err=True)
        return self._run.summary.status is RunStatus.SUCCEEDED

    def _look(self) -> RecordedRun:
        summary = self._catalog.find(self._run_id, counted=False)
        with checking(self._store, self._run_id):
            has_ended = summary.status is not RunStatus.RUNNING  # then the slowest calls are shown too
            run = RecordedRun.read(
                summary, self._catalog.timeline(self._run_id, sums=not has_ended), pieces=has_ended
            )
            run.progress()  # what can't be shown is found here, not while it is drawn
            return run

    def _progress(self) -> RunProgress:
        return self._run.progress()
