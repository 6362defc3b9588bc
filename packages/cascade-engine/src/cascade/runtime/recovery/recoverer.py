"""The recoverer: takes over runs that were interrupted and have kept their inputs, several side by side.

A store holds what somebody has put there. So a workflow is found by its reference among modules that are imported
already, and nothing is imported by a name from the store.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from types import FunctionType
from typing import Any, NamedTuple, NoReturn, TypeAlias

from cascade.adapters.addresses import address_of
from cascade.adapters.spawning import seen_through, spawn
from cascade.adapters.state.catalog import Catalog, RunSummary
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.kept_inputs import KeptInputs, decode_inputs
from cascade.adapters.store_urls import catalog_from_url
from cascade.graph.build import tree_steps
from cascade.runtime.exceptions import EngineClosedError, RunEndedError, WorkflowNotFoundError
from cascade.runtime.options import RunOptions, checked_count, recovery_options
from cascade.runtime.recorded_runs.recovered_run import Driven, RecoveredRun, RecoveryOutcome, Told
from cascade.runtime.recovery.worker_secrets import WorkerSecrets
from cascade.runtime.running.services import EngineParts
from cascade.runtime.settings import RecoverySettings
from cascade.runtime.sharing.time_slice import in_slices
from cascade.runtime.stores import codec_of
from cascade.spec.calls.missing import MISSING
from cascade.spec.common import Contract, ParamContract
from cascade.spec.durable import OPEN
from cascade.spec.errors import (
    CascadeError,
    MissingSecretError,
    RunActiveError,
    RunDamagedError,
    RunLostError,
    SpecError,
    StoreError,
    StoreNotFoundError,
)
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import ParamLazyResult
from cascade.spec.protocols import Codec
from cascade.spec.source.references import module_of
from cascade.spec.targets import made_by
from cascade.spec.tasks.definition import TaskReference

GoOn: TypeAlias = Callable[[object, RunOptions], Awaitable[Driven]]
"""Goes on with the run of a target."""

CONCURRENCY = 10
"""How many runs go on at one time by default."""


@dataclass(frozen=True, slots=True)
class RecoveryParts:
    """What recovery needs of its engine: the store, by its name, its catalog and its backends, and what runs.

    `check_open` raises when the engine is closed.
    `declared` gives the inputs of all resources. `options` are those of each run, but for its own.
    """

    store: str
    look: Callable[[], Catalog]
    make_state: Callable[..., Any]
    codec: Codec | None
    declared: Callable[[], list[Contract]]
    secrets: WorkerSecrets
    options: RunOptions
    go_on: GoOn
    check_open: Callable[[], None]


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
        declared=parts.registry.contracts,
        secrets=WorkerSecrets(settings.get("secrets"), settings.get("secrets_dir")),
        options=recovery_options(settings),
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
        self._under_way[spawn(self._recover(run))] = run

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
        return [run for run in found if run.run_id not in here and not self._is_refused(run)]

    def _is_refused(self, run: RunSummary) -> bool:
        known = self._known.get(run.run_id)
        is_refused = known is not None and known.outcome is RecoveryOutcome.REFUSED
        return is_refused and known is not None and known.updated == run.updated

    # One run

    async def _recover(self, run: RunSummary) -> RecoveredRun:
        """Go on with a run; whatever goes wrong with it is its outcome, so that others go on."""
        run_id = run.run_id
        try:
            return await self._go_on(run)
        except EngineClosedError:
            raise
        except MissingSecretError as missing:
            return await self._wait_for(run, missing)
        except (RunActiveError, RunLostError, RunEndedError) as lost:
            return RecoveredRun(run_id, RecoveryOutcome.TAKEN, lost)
        except StoreError as problem:
            is_damage = isinstance(problem, RunDamagedError)
            return RecoveredRun(
                run_id, RecoveryOutcome.REFUSED if is_damage else RecoveryOutcome.LEFT, problem
            )
        except Exception as problem:  # noqa: BLE001 - the workflow function is the user's own
            return RecoveredRun(run_id, RecoveryOutcome.REFUSED, problem)

    async def _go_on(self, run: RunSummary) -> RecoveredRun:
        parts = self._parts
        kept = await asyncio.to_thread(self._inputs, run.run_id)
        if kept is None:
            raise RunEndedError(run.run_id, "")
        workflow = TaskReference(kept.module, kept.qualname)
        target, spec = made_by(_function(run.run_id, workflow))
        tree = await in_slices(tree_steps(target))
        read = [each.contract for each in tree.lazies if isinstance(each, ParamLazyResult)]
        secrets = self._secrets([*spec.contracts, *read, *parts.declared()], kept.secrets)
        params = {**kept.params, **secrets}
        options = replace(parts.options, params=params, run_id=run.run_id, spec=spec, workflow=workflow)
        driven = await parts.go_on(target, options)
        if driven.ended is not None:
            return RecoveredRun(run.run_id, RecoveryOutcome(driven.ended), driven.error)
        if driven.error is not None and (not driven.opened or isinstance(driven.error, StoreError)):
            raise driven.error
        return RecoveredRun(run.run_id, RecoveryOutcome.LEFT, driven.error)

    def _inputs(self, run_id: str) -> KeptInputs | None:
        with closing(self._parts.look()) as catalog:
            data = catalog.inputs(run_id)
        if data is None:
            return None
        store = self._parts.store
        return decode_inputs(data, FactCodec(self._parts.codec, run_id, store), store, run_id)

    def _secrets(self, contracts: Iterable[Contract], given: Iterable[str]) -> dict[str, object]:
        """Return the secrets that there are here; one that the run was `given` has no other value than that.

        Raises:
            MissingSecretError: If one of those is missing.
        """
        found: dict[str, object] = {}
        for contract in contracts:
            if not (isinstance(contract, ParamContract) and contract.secret):
                continue
            value = self._parts.secrets.find(contract)
            if value is not MISSING:
                found[contract.name] = value
            elif contract.name in given:
                raise MissingSecretError(str(contract), "no value is there", contract.name)
        return found

    async def _wait_for(self, run: RunSummary, missing: MissingSecretError) -> RecoveredRun:
        """Note in the store what a run waits for."""
        what, run_id = f"secret '{missing.name}'", run.run_id
        outcome = RecoveredRun(run_id, RecoveryOutcome.WAITING, missing)
        if run.waits_for == what:
            return outcome
        state = self._parts.make_state(run_id=run_id)
        try:
            await state.open()
            if state.found_status not in OPEN:
                return RecoveredRun(
                    run_id, RecoveryOutcome.TAKEN, RunEndedError(run_id, state.found_status or "")
                )
            state.wait_for(what)
            await state.commit()
        except (RunActiveError, RunLostError) as lost:
            return RecoveredRun(run_id, RecoveryOutcome.TAKEN, lost)
        except CascadeError as problem:
            return RecoveredRun(run_id, RecoveryOutcome.LEFT, problem)
        finally:
            await state.close()
        return outcome


_STAY = (RecoveryOutcome.WAITING, RecoveryOutcome.REFUSED)
"""Outcomes that are the same at each look until something changes."""


async def _all_ended(tasks: list[asyncio.Task[RecoveredRun]]) -> None:
    await asyncio.wait(tasks)


def _function(run_id: str, workflow: TaskReference) -> FunctionType:
    """Return a workflow function.

    Only a function that stands in the module that defines it is one, and none of Python's own: who can write to the
    store can't have other code called.

    Raises:
        WorkflowNotFoundError: If there is none of that name in a module that is imported.
    """
    found = workflow.find()
    is_own = workflow.module.partition(".")[0] not in sys.stdlib_module_names
    if not isinstance(found, FunctionType) or module_of(found) != workflow.module or not is_own:
        raise WorkflowNotFoundError(run_id, *workflow)
    return found
