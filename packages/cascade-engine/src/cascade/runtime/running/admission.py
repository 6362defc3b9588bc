"""Checks: what can be known to be wrong before the first node of a structure runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.adapters.executors.locations import check_reference
from cascade.graph.tree import Call, Injected
from cascade.runtime.exceptions import InlineTimeoutError, UnknownParamError
from cascade.runtime.programs.program import Program
from cascade.runtime.resolvers import resolve_needs
from cascade.spec.common import GIVEN, ParamContract
from cascade.spec.errors import SpecError
from cascade.spec.inputs.workflow import WorkflowSpec
from cascade.spec.lazy_types import LazyResult, MappedLazyResult, ParamLazyResult
from cascade.spec.policies.declared import NO_POLICIES
from cascade.spec.policies.mode import Mode

if TYPE_CHECKING:
    from cascade.runtime.engine import Engine


def check_structure(
    engine: Engine, program: Program, lazies: list[LazyResult[Any]], inputs: Mapping[str, object]
) -> None:
    """Check what a structure needs against what the engine has and the run was given.

    Raises:
        CascadeError: The one that names the first thing that can't work.
    """
    declared = WorkflowSpec()
    for position in range(len(program)) if engine.needs_references else program.needs_check:
        lazy, call = lazies[position], program.calls[position]
        if call.slots or call.defaults:
            _check_resources(engine, lazy, call)
            for contract in engine.registry.contracts(call.resources()):
                declared.add(contract)
                contract.read(inputs)
        if isinstance(lazy, ParamLazyResult):
            declared.add(lazy.contract)  # a tree of a known structure was not built, where two would meet
            lazy.contract.read(inputs)
        mode = engine.mode_of(lazy)
        if mode is Mode.PROCESS:
            check_reference(lazy.task)
        if lazy.policies is not NO_POLICIES:
            if lazy.policies.timeout is not None and mode is Mode.INLINE:
                raise InlineTimeoutError(lazy.task.name)
            resolve_needs(lazy, call, None, engine.capacity.totals)


def check_inputs(
    lazies: Iterable[LazyResult[Any]],
    spec: WorkflowSpec | None,
    inputs: Mapping[str, object],
    of_resources: Iterable[Any] = (),
) -> None:
    """Check the values given against what the first structure, the workflow's spec and the resources declare.

    Whether a resource's own inputs are there is checked with the structures that take it.

    Raises:
        UnknownParamError: If a name is not declared; it lists those that are.
        ContractConflictError: If the two declare one name differently.
        InputError: If a declared value is missing or of another type.
    """
    declared = WorkflowSpec()
    for contract in (*(spec.contracts if spec else ()), *_contracts_in(lazies)):
        declared.add(contract)
    needed = declared.contracts
    for contract in of_resources:
        declared.add(contract)
    known = sorted(contract.name for contract in declared.contracts if isinstance(contract, ParamContract))
    for name in inputs:
        if name not in known:
            raise UnknownParamError(name, tuple(known))
    for contract in needed:
        contract.read(inputs)


def _contracts_in(lazies: Iterable[LazyResult[Any]]) -> list[Any]:
    return [lazy.contract for lazy in lazies if isinstance(lazy, ParamLazyResult)]


def _check_resources(engine: Engine, lazy: LazyResult[Any], call: Call) -> None:
    wanted_by = f"task '{lazy.task.name}'"
    for name in call.resources():
        if name not in GIVEN:
            engine.registry.opening_order(name, wanted_by)
    if isinstance(lazy, MappedLazyResult):
        for slot, source in zip(call.slots, call.sources, strict=True):
            if isinstance(source, Injected) and slot.argument in lazy.mapped:
                raise SpecError(
                    f"{wanted_by} is mapped over an injected resource in '{slot}'",
                    "inject it as the default of a parameter, or fix it with .partial(...)",
                )
