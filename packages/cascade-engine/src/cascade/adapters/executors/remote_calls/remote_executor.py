"""The base of executors that have calls made by a cluster: what is sent, what comes back, what stays there.

What differs from cluster to cluster is how one request gets to a worker, and how a value that stays is named.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext, suppress
from enum import StrEnum
from typing import NamedTuple, Self

from cascade.adapters.call_facts import CallFacts, facts_in_context
from cascade.adapters.executors.arrivals import arrived_ends
from cascade.adapters.executors.boundary_errors import WorkerDiedError
from cascade.adapters.executors.call_amounts import amounts_in_context
from cascade.adapters.executors.call_places import (
    ON_LOOP,
    CallPlace,
    Home,
    Interruption,
    place_of_mode,
)
from cascade.adapters.executors.chunks import ChunkCall, Progress
from cascade.adapters.executors.handles import Handle, HandleLostError
from cascade.adapters.executors.remote_calls.call_reports import report_from
from cascade.adapters.executors.remote_calls.call_requests import TaskCodes
from cascade.adapters.executors.remote_calls.cloud_pickling import decode, encode
from cascade.adapters.executors.remote_calls.remote_handles import Recipe, RemoteHandle, place_of
from cascade.adapters.executors.remote_calls.sent_calls import DeadCall, Sending, SentCalls, remedy_of
from cascade.adapters.executors.worker_processes.told_failures import failure_of
from cascade.adapters.travelling.luggage import pack
from cascade.adapters.values.stored_arguments import StoredArgument
from cascade.graph.nodes import Node
from cascade.spec.errors import CascadeError, SpecError
from cascade.spec.internal_tasks import INTERNAL_TASKS
from cascade.spec.policies.mode import Mode
from cascade.spec.task import AnyTask

STAYING_SIZE = 1 << 14
"""Values with more bytes than this stay where they are, if they may: to pass them on costs more than to name them."""

CHUNK_SECONDS = 0.1
"""After this time a worker begins no other call of a chunk: more than the way to a worker and back takes."""


_REMAKE_RETRIES = 3
"""How many more workers may die before a call that is made again for its value has failed."""


class OnLost(StrEnum):
    """What happens when a value that stayed on a worker is lost.

    RAISE: whoever needs it gets a `HandleLostError`. RERUN: the calls that gave it are made again.
    """

    RAISE = "raise"
    RERUN = "rerun"


class SentRequest(NamedTuple):
    """What goes to the cluster: a request as bytes, and the cluster's names of the values that it needs."""

    task: AnyTask
    request: bytes
    references: Sequence[object]
    amounts: Mapping[str, float]
    calls: int = 1


class Answer(NamedTuple):
    """What comes back: a report as bytes, and the cluster's name of the value that has stayed, if one has.

    `cancelled` is the cancellation that came while calls were under way, `died` the call that its worker has died with.
    """

    report: bytes
    reference: object = None
    cancelled: asyncio.CancelledError | None = None
    died: DeadCall | None = None


class ReferenceLostError(Exception):
    """The value that a reference names is gone. `references` are those, among the ones that a request needs."""

    def __init__(self, references: Sequence[object], problem: str) -> None:
        super().__init__(problem)
        self.references = references
        self.problem = problem


class RemoteCalls(ABC):
    """Makes calls on a cluster. `async def` without `on=` and Cascade's own tasks are made here, on the event loop."""

    place_there = CallPlace(Home.CLUSTER, Interruption.WAITS, Interruption.WAITS)
    """What a timeout and a cancellation do to a call that the cluster makes."""

    reads_value_stores = True
    """Whether workers read arguments from the value store of a recorded run: see `StoredArgument`."""

    def __init__(self, on_lost: str | OnLost = OnLost.RAISE) -> None:
        if on_lost not in [*OnLost]:
            raise SpecError(f"on_lost={on_lost!r}", 'write "raise" or "rerun"')
        self._on_lost = OnLost(on_lost)
        self._codes = TaskCodes()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # What a cluster does

    @abstractmethod
    async def send(self, request: SentRequest) -> Answer:
        """Let a worker make the calls of a request once, by `made_calls.make_calls`.

        When it is cancelled, it returns only after the calls have really ended, or have not begun and never will.

        Raises:
            WorkerDiedError: If the worker has gone with calls under way. The request is not sent again.
            ReferenceLostError: If a value that it needs is gone: no call has begun.
            ClusterGoneError: If the whole cluster is.
        """

    @abstractmethod
    async def bring(self, reference: object) -> object:
        """Return the value that a reference names.

        Raises:
            ReferenceLostError: If it is gone.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of the cluster."""

    def room(self) -> AbstractAsyncContextManager[object]:
        """Wait until the cluster has room for a request, and keep it: so those that wait do so here."""
        return nullcontext()

    # What the engine asks for

    def takes_handles(self, task: AnyTask) -> bool:
        """Tell whether calls of a task are made by the cluster."""
        if task in INTERNAL_TASKS:
            return False
        return not task.is_async or task.on is not None

    def place_of(self, task: AnyTask, mode: Mode | None) -> CallPlace:
        """Return where a call of the task is made, and what a timeout and a cancellation do to it."""
        if self.takes_handles(task):
            return self.place_there
        return ON_LOOP if task.is_async else place_of_mode(Mode.INLINE)

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait until there is room for a call that the cluster makes."""
        return self.room() if node.task is not None and self.takes_handles(node.task) else nullcontext()

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Make a call; its value comes here."""
        return await self._execute(node, ChunkCall(args, kwargs, _facts(node)), None)

    async def execute_to_handle(
        self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]
    ) -> Handle | object:
        """Make a call; its value stays there if it is large."""
        return await self._execute(node, ChunkCall(args, kwargs, _facts(node)), STAYING_SIZE)

    def execute_chunk(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Make calls in one worker, one after the other; their values come here."""
        return self._execute_calls([node], calls, Sending(CHUNK_SECONDS, None))

    def execute_chunk_to_handles(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Make calls in one worker, one after the other. The first large value stays there and ends the chunk."""
        return self._execute_calls([node], calls, Sending(CHUNK_SECONDS, STAYING_SIZE))

    def execute_chain(
        self, nodes: Sequence[Node], calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        """Make calls in one worker, each of which takes what those before it have given."""
        return self._execute_calls(nodes, calls, Sending(CHUNK_SECONDS, STAYING_SIZE if to_handles else None))

    async def fetch(self, handle: RemoteHandle) -> object:
        """Bring the value of a handle here.

        Raises:
            HandleLostError: If it is gone.
        """
        while True:
            try:
                return await self.bring(handle.reference)
            except ReferenceLostError as error:
                await self._restore([handle], error)

    # How it is done

    async def _execute(self, node: Node, call: ChunkCall, staying_size: int | None) -> object:
        task, func = node.task, node.callable_obj
        assert task is not None
        assert func is not None
        # An internal task is called where its input is, whether its value comes here or not.
        has_handles = task in INTERNAL_TASKS and any(
            isinstance(each, Handle | StoredArgument) for each in call.args
        )
        if not (has_handles or self.takes_handles(task)):
            value = func(*call.args, **call.kwargs)
            return await value if task.is_async else value
        async with aclosing(self._execute_calls([node], [call], Sending(0.0, staying_size))) as ended:
            async for progress in ended:
                for end in progress.ends:
                    if end.error is None:
                        return end.value  # also if it was cancelled meanwhile: a recorded run keeps the value
                    failure = end.error
                del progress, end
        try:
            raise failure
        finally:
            del failure  # the traceback has this frame: they would be a cycle

    async def _execute_calls(
        self, nodes: Sequence[Node], calls: Sequence[ChunkCall], sending: Sending
    ) -> AsyncGenerator[Progress, None]:
        """Make calls of one node, or those of a chain of nodes."""
        tasks = [node.task for node in nodes if node.task is not None]
        sent = SentCalls(tasks, calls, self._codes, sending, pack(encode))
        if sent.refused:
            yield Progress(sent.refused)
        if not sent.request:
            return
        amounts, size = amounts_in_context.get(), len(sent.request.facts)
        request = SentRequest(tasks[0], sent.request.as_bytes(), (), amounts, size)
        try:
            answer = await self._send(request, sent.handles)
        except CascadeError as error:
            yield sent.failure(error)
            return

        def stay(position: int) -> RemoteHandle:
            node, recipe = nodes[position if len(nodes) > 1 else 0], None
            if self._on_lost is OnLost.RERUN:
                sources = [each.recipe for each in sent.handles if each.recipe is not None]
                recipe = Recipe(node, sent.only(position, answer.report), request.amounts, sources)
            return RemoteHandle(self, node, answer.reference, recipe)

        progress = await arrived_ends(sent.progress(answer.report, stay, answer.died), self)
        if progress.ends:
            yield progress
        if answer.cancelled is not None:
            raise answer.cancelled

    async def _send(self, request: SentRequest, handles: Sequence[RemoteHandle]) -> Answer:
        while True:
            references = [handle.reference for handle in handles]
            try:
                return await self.send(request._replace(references=references))
            except ReferenceLostError as error:
                lost = [
                    each for each in handles if any(each.reference is other for other in error.references)
                ]
                await self._restore(lost or handles, error)

    async def _send_again(self, request: SentRequest, handles: Sequence[RemoteHandle]) -> Answer:
        """Send a request that was made before: where its value was lost, other workers may be going, too."""
        for _ in range(_REMAKE_RETRIES):
            with suppress(WorkerDiedError):
                answer = await self._send(request, handles)
                if answer.died is None:
                    return answer
        return await self._send(request, handles)

    async def _restore(self, handles: Sequence[RemoteHandle], error: ReferenceLostError) -> None:
        """Have lost values computed again, or say that they are lost."""
        for handle in handles:
            if handle.recipe is None:
                raise HandleLostError(handle.task, handle.place, error.problem) from None
        for handle in handles:
            assert handle.recipe is not None
            await self._remade(handle.recipe)

    async def _remade(self, recipe: Recipe) -> RemoteHandle:
        """Make the call of a recipe again; once for all who wait for it."""
        if recipe.remaking is None:
            # A task of its own: a long line of lost values is no deep stack.
            recipe.remaking = asyncio.create_task(self._remake(recipe))
            recipe.remaking.add_done_callback(lambda _: recipe.forget_remaking())
        return await asyncio.shield(recipe.remaking)

    async def _made(self, recipe: Recipe) -> RemoteHandle:
        handle = recipe.handle()
        return await self._remade(recipe) if handle is None else handle  # it has no truth value

    async def _remake(self, recipe: Recipe) -> RemoteHandle:
        sources = [await self._made(source) for source in recipe.sources]
        node = recipe.node
        assert node.task is not None
        request = SentRequest(node.task, recipe.request, (), recipe.amounts)
        answer = await self._send_again(request, sources)
        if answer.died is not None:
            raise answer.died.error
        (end,) = report_from(answer.report).ends
        if end.body is not None:
            problem = "its worker is gone, and its call failed when it was made again"
            raise HandleLostError(node.name, place_of(node), problem, is_made_again=True) from failure_of(
                node.task, end.kind, end.body, decode, remedy_of(node.task)
            )
        handle = recipe.handle()
        if handle is None:
            return RemoteHandle(self, node, answer.reference, recipe)
        handle.reference = answer.reference
        return handle


def _facts(node: Node) -> CallFacts:
    known = facts_in_context.get()
    return CallFacts("", node.name) if known is None else CallFacts(*known)
