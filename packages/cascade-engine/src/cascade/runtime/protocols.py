"""Protocols: what the engine asks of a solver and an executor.

The defaults are in `cascade.adapters.solvers.native` and `cascade.adapters.executors.local`. What it asks of stores and
caches stands in `cascade.spec.protocols` and is shown here too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from cascade.adapters.call_facts import CallFacts
from cascade.adapters.executors.call_places import CallPlace, Interruption
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, EarlierResult, Progress
from cascade.adapters.executors.handles import Handle
from cascade.graph.model import Graph
from cascade.graph.nodes import Node
from cascade.graph.planning import Plan
from cascade.spec.policies.mode import Mode
from cascade.spec.protocols import CacheBackend, CachePolicy, StateBackend
from cascade.spec.task import AnyTask

__all__ = [
    "AdmittingExecutor",
    "CacheBackend",
    "CachePolicy",
    "CallEnd",
    "CallFacts",
    "CallPlace",
    "ChainExecutor",
    "ChunkCall",
    "ChunkExecutor",
    "EarlierResult",
    "Executor",
    "Handle",
    "Interruption",
    "PlacedExecutor",
    "Progress",
    "RemoteChunkExecutor",
    "RemoteExecutor",
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


class PlacedExecutor(Executor, Protocol):
    """An executor that says where it makes calls. Of another one it is assumed that this is in this process."""

    def place_of(self, task: AnyTask, mode: Mode | None) -> CallPlace:
        """Return where a call of the task with this mode is made, and what a timeout and a cancellation do to it.

        A call that is made elsewhere may have a `WorkerResource` in its arguments, and context variables that travel
        with it: see `cascade.adapters.travelling.luggage` for what packs and unpacks them.
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


class RemoteExecutor(Executor, Protocol):
    """An executor whose results may stay where they were made, as handles.

    The engine calls `execute_to_handle` where nothing here looks at the value, and `execute` where the value is needed
    here and nowhere else. It knows that from the structure of the tree.
    """

    def takes_handles(self, task: AnyTask) -> bool:
        """Tell whether calls of a task are made where values may stay. All others are given values, and give values."""

    async def execute_to_handle(
        self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Handle | object:
        """Make a call as `execute` does. Return a handle, or the value itself where it had to come here anyway.

        Handles may stand in `args` and `kwargs`, also inside of lists, tuples and dicts; all are this executor's own.
        An internal task, such as the item of a container, comes here if what it takes is a handle. What stands for
        another value, such as a lazy result, never stays: it is returned.
        """


class RemoteChunkExecutor(RemoteExecutor, ChunkExecutor, Protocol):
    """An executor whose chunks may leave their results where they were made."""

    def execute_chunk_to_handles(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Make the calls as `execute_chunk` does. The value of an end may be a handle, as in `execute_to_handle`."""


class ChainExecutor(RemoteChunkExecutor, Protocol):
    """An executor to which a chain of calls may go together: each takes what the one before has given."""

    def execute_chain(
        self, nodes: Sequence[Node], calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        """Make calls of one task or of several, one after the other in one worker, as `execute_chunk` does.

        An `EarlierResult` in the arguments of a call stands for what an earlier one gives. Calls after one that has
        failed, that stands for another value, or whose value stays, have no end: they have not begun.
        """


StateBackendFactory = Callable[..., StateBackend]
"""Makes the state backend of one run; called with `run_id=` once for each run, before anything of it begins."""
