"""Protocols: what the engine asks of a solver and an executor.

The defaults are in `cascade.adapters.solvers.native` and `cascade.adapters.executors.local`. What it asks of stores and
caches stands in `cascade.spec.protocols` and is shown here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cascade.adapters.call_facts import CallFacts
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.graph.model import Graph
from cascade.graph.nodes import Node
from cascade.graph.planning import Plan
from cascade.spec.protocols import CacheBackend, CachePolicy, StateBackend

__all__ = [
    "AdmittingExecutor",
    "CacheBackend",
    "CachePolicy",
    "CallEnd",
    "CallFacts",
    "ChunkCall",
    "ChunkExecutor",
    "Executor",
    "Progress",
    "Solver",
    "StateBackend",
    "StateBackendFactory",
]


class Solver(Protocol):
    """Finds an order for a graph. Equal graphs must give equal plans."""

    def resolve(self, graph: Graph) -> Plan:
        """Return a plan that holds each node once, after all that it may wait for.

        Raises:
            CycleError: If there is none.
        """


class Executor(Protocol):
    """Makes one call somewhere.

    It knows nothing of the graph: `args` and `kwargs` hold values, never lazy results. Called by many runs at once, in
    the event loop of the engine.
    """

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Call `node.callable_obj` and return its value, or raise what it raises.

        When it is cancelled, it returns only after the call has really ended: what the call holds is given back then.
        """


class AdmittingExecutor(Executor, Protocol):
    """An executor whose calls may have to wait for a worker: a call, its duration and its timeout begin after that."""

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait until a worker is free for a call, and keep it for the next `execute` in the same context.

        `execute` must also work without this: a class that builds on this one may call it alone.
        """


class ChunkExecutor(Executor, Protocol):
    """An executor to which several calls of one task may go together: the items of a map.

    The calls are made one after the other, in the order of `calls`. Each call fails alone. The engine decides about
    retries, timeouts and limits, so the executor makes each call at most once. Calls with a timeout are not among them.
    """

    def execute_chunk(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Call `node.callable_obj` with each of `calls`, and tell what has ended as soon as that is worth a message.

        Calls that have no end when the iterator ends have not begun, and go out again, maybe elsewhere. So a worker
        whose calls take longer than expected gives back what it has not begun, at once where it can say so. A worker
        that dies fails the call that was under way, and no other. When the task that iterates is cancelled, the
        iterator ends only after the call under way has really ended, and gives what has ended before it raises.

        `cascade.adapters.executors.chunks.execute_each` does all this for an executor that makes single calls.
        """


StateBackendFactory = Callable[..., StateBackend]
"""Makes the state backend of one run; called with `run_id=` once for each run, before anything of it begins."""
