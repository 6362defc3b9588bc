"""The recoverer: looks for runs that were interrupted and kept their inputs, and has several go on side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from random import randrange
from typing import NamedTuple, NoReturn

from cascade.adapters.addresses import address_of
from cascade.adapters.spawning import seen_through, spawn
from cascade.adapters.state.catalog import RunSummary
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime.options import checked_count, recovery_options
from cascade.runtime.recorded_runs.recovered_run import RecoveredRun, RecoveryOutcome, Told
from cascade.runtime.recovery.run_recovery import GoOn, RecoveryParts, RunRecovery
from cascade.runtime.recovery.worker_secrets import WorkerSecrets
from cascade.runtime.running.services import EngineParts
from cascade.runtime.settings import RecoverySettings
from cascade.runtime.stores import codec_of, values_of
from cascade.spec.errors import (
    SpecError,
    StoreError,
    StoreNotFoundError,
)

CONCURRENCY = 10
"""How many runs go on at one time by default."""
ABANDON_AFTER = 3
"""After so many interrupted takes without anything new recorded a run is left alone, by default."""


def recoverer(
    stores: Mapping[str, object],
    parts: EngineParts,
    settings: RecoverySettings,
    go_on: GoOn,
    check_open: Callable[[], None],
) -> Recoverer:
    """Return what goes on with the runs of an engine whose `stores` are given by these settings.

    `check_open` raises when the engine is closed.

    Raises:
        SpecError: If a setting can't be meant, or the engine has no `state` by its URL.
    """
    url = stores.get("state")
    if not isinstance(url, str):
        raise SpecError(
            "runs are to be recovered, and the engine has no store by its URL",
            'give state="sqlite:///runs.db" say',
        )
    needed = RecoveryParts(
        store=address_of(url),
        look=partial(catalog_from_url, url),
        make_state=parts.state_factory,
        codec=codec_of(stores),
        values=values_of(stores),
        declared=parts.registry.contracts,
        secrets=WorkerSecrets(settings.get("secrets"), settings.get("secrets_dir")),
        options=recovery_options(settings),
        abandon_after=checked_count("abandon_after", settings.get("abandon_after")) or ABANDON_AFTER,
        go_on=go_on,
        check_open=check_open,
    )
    concurrency = checked_count("concurrency", settings.get("concurrency"))
    told = settings.get("told")
    if told is not None and not callable(told):
        raise SpecError(f"told= got {type(told).__name__}", "give a function of a RecoveredRun: told=print")
    return Recoverer(needed, concurrency or CONCURRENCY, told)


class _Known(NamedTuple):
    """What was told last of a run that is still open, and when the run was written last."""

    outcome: RecoveryOutcome
    error: str
    updated: float


class Recoverer:
    """Goes on with the runs of one store, at most `concurrency` at a time. `told` is told what becomes of each."""

    def __init__(self, parts: RecoveryParts, concurrency: int, told: Told | None) -> None:
        self._parts = parts
        self._recovery = RunRecovery(parts)
        self._concurrency = concurrency
        self._told = told
        self._outcomes: list[RecoveredRun] = []
        self._under_way: dict[asyncio.Task[RecoveredRun], RunSummary] = {}
        self._known: dict[str, _Known] = {}

    async def once(self) -> list[RecoveredRun]:
        """Go on with each run that is interrupted now; return what has become of them, as they ended.

        Raises:
            StoreError: If the store can't be looked at.
        """
        try:
            for run in await self._look():
                await self._wait_for_slot()
                self._begin(run)
            while self._under_way:
                await self._take_ended(None)
        finally:
            await self._let_go()
        return self._outcomes

    async def for_ever(self, seconds: float) -> NoReturn:
        """Look for such runs at this interval, until the caller is cancelled; each run that ends makes room for one.

        Raises:
            StoreError: If the store can't be looked at, and nobody is told of it.
        """
        loop = asyncio.get_running_loop()
        try:
            while True:
                next_look = loop.time() + seconds
                for run in await self._look_again():
                    await self._wait_for_slot()
                    self._begin(run)
                self._outcomes.clear()
                while (left := next_look - loop.time()) > 0:
                    await (self._take_ended(left) if self._under_way else asyncio.sleep(left))
        finally:
            await self._let_go()

    # The runs under way

    def _begin(self, run: RunSummary) -> None:
        self._under_way[spawn(self._recovery.recover(run))] = run

    async def _wait_for_slot(self) -> None:
        while len(self._under_way) >= self._concurrency:
            await self._take_ended(None)

    async def _take_ended(self, seconds: float | None) -> None:
        """Wait until one of the runs under way has ended, or this time is over."""
        done, _ = await asyncio.wait(self._under_way, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            run = self._under_way.pop(task)
            self._take(run, task.result())

    def _take(self, run: RunSummary, outcome: RecoveredRun) -> None:
        before = self._known.pop(run.run_id, None)
        if outcome.outcome in _STAY:
            known = self._known[run.run_id] = _Known(outcome.outcome, str(outcome.error), run.updated)
            if before is not None and before[:2] == known[:2]:
                return  # as at the last look
        self._outcomes.append(outcome)
        if self._told is not None:
            self._told(outcome)

    async def _let_go(self) -> None:
        """Cancel what is under way, and wait for it: the runs are left as far as they have come."""
        for task in self._under_way:
            task.cancel()
        if self._under_way:
            await seen_through(_all_ended([*self._under_way]))
        for task in self._under_way:
            if not task.cancelled() and task.exception() is None:
                self._take(self._under_way[task], task.result())
        self._under_way.clear()

    # Looking

    async def _look(self) -> list[RunSummary]:
        self._parts.check_open()
        try:
            return await asyncio.to_thread(self._found)
        except StoreNotFoundError:
            return []  # nobody has recorded a run yet

    def _found(self) -> list[RunSummary]:
        with closing(self._parts.look()) as catalog:
            return catalog.recoverable()

    async def _look_again(self) -> list[RunSummary]:
        """Look, but pass over what is under way here, and what was refused and has not been written since."""
        try:
            found = await self._look()
        except StoreError as problem:
            if self._told is None:
                raise
            self._told(problem)
            return []
        here = {run.run_id for run in self._under_way.values()}
        open_runs = {run.run_id for run in found} | here
        self._known = {name: known for name, known in self._known.items() if name in open_runs}
        free = [run for run in found if run.run_id not in here and not self._is_refused(run)]
        # Not all workers begin with the same run: who loses the race for one has tried in vain.
        first = randrange(len(free)) if free else 0
        return free[first:] + free[:first]

    def _is_refused(self, run: RunSummary) -> bool:
        known = self._known.get(run.run_id)
        is_refused = known is not None and known.outcome is RecoveryOutcome.REFUSED
        return is_refused and known is not None and known.updated == run.updated


_STAY = (RecoveryOutcome.WAITING, RecoveryOutcome.REFUSED)
"""Outcomes that are the same at each look until something changes."""


async def _all_ended(tasks: list[asyncio.Task[RecoveredRun]]) -> None:
    await asyncio.wait(tasks)
