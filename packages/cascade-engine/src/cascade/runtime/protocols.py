"""Protocols: what the engine asks of a solver and an executor. Defaults are in `cascade.adapters`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cascade.graph.model import Graph
from cascade.graph.nodes import Node
from cascade.graph.planning import Plan
from cascade.spec.protocols import CacheBackend, CachePolicy, StateBackend

__all__ = [
    "AdmittingExecutor",
    "CacheBackend",
    "CachePolicy",
    "Executor",
    "Solver",
    "StateBackend",
    "StateBackendFactory",
]


class Solver(Protocol):
    """Finds an order for a graph. The same graph must give the same plan."""

    def resolve(self, graph: Graph) -> Plan:
        """Return a plan that holds each node once, after all that it may wait for.

        Raises:
            CycleError: If there is none.
        """


class Executor(Protocol):
    """Makes one call somewhere. It knows nothing of the graph, and `args` and `kwargs` hold values only."""

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call `node.callable_obj` and return its value, or raise what it raises.

        When cancelled it returns only after the call has really ended.
        """


class AdmittingExecutor(Executor, Protocol):
    """An executor whose calls may have to wait for a worker. A call, its duration and its timeout begin after that."""

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait until a worker is free for a call, and keep it; the next `execute` in the same context has it.

        `execute` must also work without: for a call that is made by other means, or by a class that builds on this one.
        """


StateBackendFactory = Callable[..., StateBackend]
"""Makes the state backend of one run; called with `run_id=`."""
