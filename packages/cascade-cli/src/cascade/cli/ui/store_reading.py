"""Store reading: what the page shows of a store. Each look opens the store and closes it; no value is read."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from cascade.adapters.addresses import address_of
from cascade.adapters.state import Catalog, FactPage, RunSummary
from cascade.adapters.state.damage import checking
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime.progress.run_progress import RunProgress
from cascade.runtime.recorded_runs.recorded_run import RecordedRun, shown_status
from cascade.spec import CascadeError

RUNS = 50
"""A page of runs has so many."""
FACTS = 200
"""A page of facts has so many."""


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run, and how far it has come; `problem` says why that can't be read."""

    summary: RunSummary
    progress: RunProgress | None
    problem: str = ""

    @property
    def run_id(self) -> str:
        """Its id."""
        return self.summary.run_id

    @property
    def status(self) -> str:
        """What is shown as its status."""
        return shown_status(self.summary)


@dataclass(frozen=True, slots=True)
class ShownRuns:
    """Some runs of a store, from number `first` on of `total`, as they were at a time."""

    runs: list[ShownRun]
    first: int
    total: int
    now: float


class StoreReader:
    """Looks into the store of a URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.address = address_of(url)

    @contextmanager
    def _catalog(self) -> Iterator[Catalog]:
        with closing(catalog_from_url(self._url)) as catalog:
            yield catalog

    def check(self) -> None:
        """Look whether the store is there.

        Raises:
            CascadeError: If it is not, or can't be read.
        """
        with self._catalog() as catalog:
            catalog.run_page(0, 1)

    def runs(self, first: int) -> ShownRuns:
        """Return a page of runs."""
        with self._catalog() as catalog:
            page = catalog.run_page(first, RUNS)
            return ShownRuns([self._shown(catalog, run) for run in page.runs], first, page.total, time.time())

    def run(self, run_id: str) -> ShownRun:
        """Return one run.

        Raises:
            RunNotFoundError: If the store does not have it.
        """
        with self._catalog() as catalog:
            return self._shown(catalog, catalog.find(run_id, counted=False))

    def facts(self, run_id: str, after: str | None) -> FactPage:
        """Return a page of the facts of a run.

        Raises:
            CascadeError: If the store does not have the run, or it can't be read.
        """
        with self._catalog() as catalog:
            return catalog.fact_page(run_id, after, FACTS)

    def report(self, run_id: str) -> str:
        """Return the report of a run as an HTML page.

        Raises:
            CascadeError: If the store does not have the run, or it can't be read.
        """
        with self._catalog() as catalog:
            run = catalog.find(run_id, counted=False)
            with checking(self.address, run_id):
                return RecordedRun.read(run, catalog.timeline(run_id)).report(catalog.facts(run_id))

    def _shown(self, catalog: Catalog, run: RunSummary) -> ShownRun:
        try:
            with checking(self.address, run.run_id):
                parts = catalog.timeline(run.run_id, sums=True)
                return ShownRun(run, RecordedRun.read(run, parts).progress())
        except CascadeError as problem:
            return ShownRun(run, None, str(problem))
