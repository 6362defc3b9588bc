"""Run recovery: goes on with one run that was interrupted, or says why it can't go on here.

A store holds what somebody has put there. So a workflow is found by its reference among modules that are imported
already, and nothing is imported by a name from the store.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from dataclasses import replace
from types import FunctionType
from typing import Any, TypeAlias

from cascade.adapters.state.catalog import Catalog, RunSummary
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.kept_inputs import KeptInputs, decode_inputs
from cascade.adapters.values.kept_values import KeptValues
from cascade.graph.build import tree_steps
from cascade.runtime.exceptions import (
    EngineClosedError,
    RunAbandonedError,
    RunEndedError,
    WorkflowNotFoundError,
)
from cascade.runtime.options import RunOptions
from cascade.runtime.recorded_runs.recovered_run import Driven, RecoveredRun, RecoveryOutcome
from cascade.runtime.recovery.worker_secrets import WorkerSecrets
from cascade.runtime.sharing.time_slice import in_slices
from cascade.spec.calls.error_text import error_name
from cascade.spec.calls.missing import MISSING
from cascade.spec.common import Contract, ParamContract
from cascade.spec.durable import OPEN, Takes
from cascade.spec.errors import (
    CascadeError,
    MissingSecretError,
    RunActiveError,
    RunDamagedError,
    RunLostError,
    RunNotFoundError,
    StoreError,
)
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import ParamLazyResult
from cascade.spec.protocols import Codec
from cascade.spec.source.references import module_of
from cascade.spec.targets import made_by
from cascade.spec.tasks.definition import TaskReference

GoOn: TypeAlias = Callable[[object, RunOptions], Awaitable[Driven]]
"""Goes on with the run of a target."""


@dataclass(frozen=True, slots=True)
class RecoveryParts:
    """What recovery needs of its engine: the store, by its name, its catalog and its backends, and what runs.

    `check_open` raises when the engine is closed.
    `declared` gives the inputs of all resources. `options` are those of each run, but for its own. After so many takes
    that were interrupted without anything new recorded, `abandon_after`, a run is taken over no more.
    """

    store: str
    look: Callable[[], Catalog]
    make_state: Callable[..., Any]
    codec: Codec | None
    values: KeptValues | None
    declared: Callable[[], list[Contract]]
    secrets: WorkerSecrets
    options: RunOptions
    abandon_after: int
    go_on: GoOn
    check_open: Callable[[], None]


class RunRecovery:
    """Goes on with single runs of one store."""

    def __init__(self, parts: RecoveryParts) -> None:
        self._parts = parts

    async def recover(self, run: RunSummary) -> RecoveredRun:
        """Go on with a run; whatever goes wrong with it is its outcome, so that others go on."""
        run_id = run.run_id
        try:
            return await self._go_on(run)
        except EngineClosedError:
            raise
        except MissingSecretError as missing:
            return await self._wait_for(run, missing)
        except (RunActiveError, RunLostError, RunEndedError, RunNotFoundError) as lost:
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
        if kept.takes.number >= parts.abandon_after:
            abandoned = await self._abandoned(run.run_id, kept.takes)
            if abandoned is not None:
                return abandoned
        workflow = TaskReference(kept.module, kept.qualname)
        target, spec = made_by(_function(run.run_id, workflow))
        tree = await in_slices(tree_steps(target))
        read = [each.contract for each in tree.lazies if isinstance(each, ParamLazyResult)]
        secrets = self._secrets([*spec.contracts, *read, *parts.declared()], kept.secrets)
        if run.waits_for:  # if it can't go on for another reason, it waits for that no more
            gone = await self._wait_no_more(run.run_id)
            if gone is not None:
                return gone
        params = {**kept.params, **secrets}
        options = replace(
            parts.options,
            params=params,
            run_id=run.run_id,
            spec=spec,
            workflow=workflow,
            takes=kept.takes,
        )
        driven = await parts.go_on(target, options)
        if driven.ended is not None:
            return RecoveredRun(run.run_id, RecoveryOutcome(driven.ended), driven.error)
        if driven.error is not None and (not driven.opened or isinstance(driven.error, StoreError)):
            raise driven.error
        return RecoveredRun(run.run_id, RecoveryOutcome.LEFT, driven.error)

    def _inputs(self, run_id: str) -> KeptInputs:
        """Return the inputs of a run, unless somebody else has taken it since the look.

        Raises:
            RunActiveError: If somebody drives it: to try for its lease would take longer than to look.
            RunEndedError: If it has ended, or is gone.
            CascadeError: If its inputs can't be read here.
        """
        store = self._parts.store
        with closing(self._parts.look()) as catalog:
            run, data = catalog.find(run_id, counted=False), catalog.inputs(run_id)
        if run.driver:
            raise RunActiveError(run_id, store, run.driver)
        if data is None or not run.is_open:
            raise RunEndedError(run_id, run.status)
        codec = FactCodec(self._parts.codec, run_id, store)
        return decode_inputs(data, codec, store, run_id, self._parts.values)

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
        what = f"secret '{missing.name}'"
        outcome = RecoveredRun(run.run_id, RecoveryOutcome.WAITING, missing)
        if run.waits_for == what:
            return outcome

        def wait(state: Any) -> RecoveredRun:
            state.wait_for(what)
            return outcome

        return await self._noted(run.run_id, wait) or outcome

    async def _wait_no_more(self, run_id: str) -> RecoveredRun | None:
        """Note in the store that what a run waited for is there; return an outcome if it can't be noted."""
        noted = RecoveredRun(run_id, RecoveryOutcome.LEFT)

        def go_on(state: Any) -> RecoveredRun:
            state.wait_no_more()
            return noted

        outcome = await self._noted(run_id, go_on)
        return None if outcome is noted else outcome

    async def _abandoned(self, run_id: str, takes: Takes) -> RecoveredRun | None:
        """Note in the store that a run was taken over too often, if it has not got on since; `None` if it has."""

        def abandon(state: Any) -> RecoveredRun | None:
            if state.found_mark() != takes.mark:
                return None
            problem = RunAbandonedError(run_id, takes.number)
            state.abandon(error_name(problem))
            return RecoveredRun(run_id, RecoveryOutcome.ABANDONED, problem)

        return await self._noted(run_id, abandon)

    async def _noted(self, run_id: str, change: Callable[[Any], RecoveredRun | None]) -> RecoveredRun | None:
        """Open a run, and commit what `change` notes; return the outcome that it gives."""
        state = self._parts.make_state(run_id=run_id)
        try:
            await state.open()
            if state.found_status not in OPEN:
                ended = RunEndedError(run_id, state.found_status or "")
                return RecoveredRun(run_id, RecoveryOutcome.TAKEN, ended)
            outcome = change(state)
            if outcome is not None:
                await state.commit()
        except (RunActiveError, RunLostError) as lost:
            return RecoveredRun(run_id, RecoveryOutcome.TAKEN, lost)
        except CascadeError as problem:
            return RecoveredRun(run_id, RecoveryOutcome.LEFT, problem)
        finally:
            await state.close()
        return outcome


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
