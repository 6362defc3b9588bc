"""Workflow specs: what a workflow function declares, collected without building a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Protocol

from cascade.spec.calls.blocks import block
from cascade.spec.errors import ContractConflictError


class Declared(Protocol):
    """The part of a contract that a spec needs."""

    @property
    def name(self) -> str:
        """The name of the parameter or the environment variable."""


_active: ContextVar[WorkflowSpec | None] = ContextVar("cascade_workflow_spec", default=None)


class WorkflowSpec:
    """The inputs that one workflow function declares while it is called, in their order."""

    def __init__(self) -> None:
        self._contracts: dict[tuple[type, str], Declared] = {}

    @property
    def contracts(self) -> tuple[Any, ...]:
        """The `ParamContract`s and `EnvContract`s."""
        return tuple(self._contracts.values())

    def add(self, contract: Declared) -> None:
        """Take in a contract.

        Raises:
            ContractConflictError: If there is another one of its kind and name that is not equal.
        """
        known = self._contracts.setdefault((type(contract), contract.name), contract)
        if known != contract:
            raise ContractConflictError(str(known), str(contract))

    @block
    def active(self) -> Iterator[WorkflowSpec]:
        """Collect what is declared inside the `with` block, in this context only."""
        token = _active.set(self)
        try:
            yield self
        finally:
            _active.reset(token)


def collect(workflow: Callable[[], object]) -> tuple[object, WorkflowSpec]:
    """Call a workflow function; return what it returned and the inputs that it declared."""
    with WorkflowSpec().active() as spec:
        return workflow(), spec


def declare(contract: Declared) -> None:
    """Add `contract` to the active spec, if there is one."""
    spec = _active.get()
    if spec is not None:
        spec.add(contract)
