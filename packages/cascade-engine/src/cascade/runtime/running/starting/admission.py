"""Admission: what can be known to be wrong before the first node of a structure runs, and the start of the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cascade.adapters.executors.call_places import Home
from cascade.graph.tree import NO_CALL, Call, Injected
from cascade.runtime.events import RunStarted
from cascade.runtime.exceptions import UnknownParamError
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program
from cascade.runtime.resolvers import resolve_needs
from cascade.runtime.running.services import Services
from cascade.runtime.running.starting.place_checks import PlaceChecks
from cascade.runtime.strategies import BoundPlan
from cascade.spec.common import GIVEN, ParamContract
from cascade.spec.constraint import Constraints
from cascade.spec.errors import SpecError
from cascade.spec.inputs.workflow import WorkflowSpec
from cascade.spec.lazy_types import LazyResult, MappedLazyResult, ParamLazyResult
from cascade.spec.policies.declared import NO_POLICIES

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder


class Admission:
    """Checks each structure before its first node runs, and tells once that the run begins."""

    __slots__ = (
        "_bus",
        "_capacity",
        "_carried",
        "_options",
        "_placement",
        "_places",
        "_recording",
        "_registry",
        "_reports",
        "announced",
    )

    def __init__(self, services: Services) -> None:
        self._bus = services.reports.bus
        self._capacity = services.capacity
        self._carried = services.carried
        self._options = services.options
        self._placement = services.placement
        self._places = PlaceChecks(services)
        self._recording = services.recording
        self._registry = services.registry
        self._reports = services.reports
        self.announced = False

    def may_announce_later(self, program: Program) -> bool:
        """Tell whether it is all the same when it is told that the run begins: nobody hears it, no input is there."""
        options = self._options
        if program.needs_check or options.params or options.spec is not None:
            return False
        return not self._bus.hears(RunStarted)

    def announce(self, target: LazyResult[Any], lazies: Lazies) -> None:
        """Check the inputs against the first structure, and tell that the run begins; once in a run.

        Raises:
            CascadeError: If an input is unknown, missing or of another type.
        """
        if not self.announced:
            self._check_inputs(lazies)
            self._report_start(target)

    def check(self, prepared: BoundPlan, atomic: str = "") -> None:
        """Check that a structure can be run, before its first node; all of it depends on the resource `atomic`.

        Raises:
            CascadeError: If it can't.
        """
        program, lazies = prepared.program, prepared.lazies
        if not self.announced:
            self._check_inputs([lazies[position] for position in program.params])
        self._check_structure(program, lazies)
        if self._recording is not None:
            self._recording.check_loops(prepared, atomic)
        if not self.announced:
            self._report_start(lazies[program.target])

    def check_recorded(self, prepared: BoundPlan, recording: Recorder) -> None:
        """Check the first structure of a recorded run, before its record is opened.

        Raises:
            CascadeError: If it can't be run.
        """
        self._check_inputs([prepared.lazies[position] for position in prepared.program.params])
        self._check_structure(prepared.program, prepared.lazies)
        recording.check_loops(prepared)

    def _report_start(self, target: LazyResult[Any]) -> None:
        self.announced = True
        self._reports.run_started(target, self._options.params)

    def _check_inputs(self, lazies: Lazies) -> None:
        check_inputs(lazies, self._options.spec, self._options.params, self._registry.contracts())

    def _check_structure(self, program: Program, lazies: Lazies) -> None:
        """Check what a structure needs against what the engine has and the run was given.

        Raises:
            CascadeError: The one that names the first thing that can't work.
        """
        declared, inputs = WorkflowSpec(), self._options.params
        carried_to: set[Home] = set()
        every = self._placement.needs_references or self._carried
        for position in range(len(program)) if every else program.needs_check:
            lazy, call = lazies[position], program.structure.call(position)
            if call.slots or call.defaults:
                self._check_resources(lazy, call)
                for contract in self._registry.contracts(call.resources()):
                    declared.add(contract)
                    contract.read(inputs)
            if isinstance(lazy, ParamLazyResult):
                declared.add(lazy.contract)  # a tree of a known structure was not built, where two would meet
                lazy.contract.read(inputs)
            self._places.check(lazy, carried_to)
            if lazy.policies is not NO_POLICIES:
                resolve_needs(lazy, call, None, self._capacity.totals)
        if program.takers:
            self._check_amounts([lazies[position] for position in program.takers])

    def _check_amounts(self, lazies: Lazies) -> None:
        """Check the amounts of calls, each sort of them once: most calls take the same."""
        checked: set[Constraints | None] = set()
        for lazy in lazies:
            constraints = lazy.policies.constraints
            if constraints not in checked:
                checked.add(constraints)
                resolve_needs(lazy, NO_CALL, None, self._capacity.totals)

    def _check_resources(self, lazy: LazyResult[Any], call: Call) -> None:
        wanted_by = f"task '{lazy.task.name}'"
        for name in call.resources():
            if name not in GIVEN:
                self._places.check_resource(lazy, self._registry.opening_order(name, wanted_by))
        if isinstance(lazy, MappedLazyResult):
            for slot, source in zip(call.slots, call.sources, strict=True):
                if isinstance(source, Injected) and slot.argument in lazy.mapped:
                    raise SpecError(
                        f"{wanted_by} is mapped over an injected resource in '{slot}'",
                        "inject it as the default of a parameter, or fix it with .partial(...)",
                    )


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
