"""An executor whose results stay where they were made: in a store of its own, in this process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any

from cascade.adapters.call_facts import facts_in_context
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, EarlierResult, Progress, execute_each
from cascade.adapters.executors.handles import Handle, HandleLostError
from cascade.graph import Node
from cascade.spec.calls.arguments import holds_inside
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.internal_tasks import INTERNAL_TASKS
from cascade.spec.task import AnyTask


class FarHandle(Handle):
    """A key of the store. The value is forgotten with its last handle."""

    __slots__ = ("_far", "_key")

    def __init__(self, far: FarExecutor, node: Node, key: int) -> None:
        super().__init__(far, node.name, str(node.structure_path))
        self._far = far
        self._key = key

    @property
    def value(self) -> Any:
        """The value, as a call on the same executor gets it."""
        try:
            return self._far.store[self._key]
        except KeyError:
            raise HandleLostError(self.task, self.place, "the store is empty") from None

    async def fetch(self) -> Any:
        await asyncio.sleep(0)
        self._far.fetched[self.task] += 1
        return self.value

    def __del__(self) -> None:
        self._far.store.pop(self._key, None)


class FarExecutor:
    """Keeps what calls give.

    By task, `calls` counts those made there, `taken` the handles that they took, and `fetched` the values that came
    from there.
    """

    def __init__(self) -> None:
        self.store: dict[int, Any] = {}
        self.calls: Counter[str] = Counter()
        self.fetched: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self._made = 0

    def takes_handles(self, task: AnyTask) -> bool:
        return task not in INTERNAL_TASKS and (not task.is_async or task.on is not None)

    async def execute(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert node.task is not None
        if self.takes_handles(node.task):
            self.fetched[node.name] += 1
        return await self._made_of(node, args, kwargs)

    async def execute_to_handle(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        value = await self._made_of(node, args, kwargs)
        if isinstance(value, Quoted):
            value = value.value
        elif isinstance(value, StandsForValue) or _holds(value):
            return value
        self._made += 1
        self.store[self._made] = value
        return FarHandle(self, node, self._made)

    async def _made_of(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        assert node.callable_obj is not None
        self.calls[node.name] += 1
        value = node.callable_obj(*self._there(node, args), **self._there(node, kwargs))
        is_awaited = not isinstance(value, StandsForValue) and hasattr(value, "__await__")
        return await value if is_awaited else value

    def _there(self, node: Node, given: Any) -> Any:
        if isinstance(given, FarHandle):
            assert given.owner is self
            self.taken[node.name] += 1
            return given.value
        if type(given) is dict:
            return {key: self._there(node, each) for key, each in given.items()}
        if type(given) in (list, tuple):
            return type(given)(self._there(node, each) for each in given)
        return given


class FarChunks(FarExecutor):
    """The same, for chunks too."""

    def execute_chunk(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        return execute_each(lambda call: self.execute(node, call.args, call.kwargs), calls)

    def execute_chunk_to_handles(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        return execute_each(lambda call: self.execute_to_handle(node, call.args, call.kwargs), calls)


class FarChains(FarChunks):
    """The same, for chains too, of each of which `most` calls are made. `chains` has how many came."""

    def __init__(self, most: int = 1000) -> None:
        super().__init__()
        self.chains: list[int] = []
        self._most = most

    async def execute_chain(
        self, nodes: Sequence[Node], calls: Sequence[ChunkCall], to_handles: bool
    ) -> AsyncIterator[Progress]:
        self.chains.append(len(calls))
        given: list[Any] = []
        ends: list[CallEnd] = []
        for position, (node, call) in enumerate(zip(nodes, calls, strict=True)):
            is_last = position + 1 == len(calls)  # values in between are small, and come along
            make = self._made_of if not is_last else self.execute_to_handle if to_handles else self.execute
            args, kwargs = (_with_earlier(each, given) for each in (call.args, call.kwargs))
            facts_in_context.set(call.facts)
            began = time.monotonic()
            value, error = None, None
            try:
                value = await make(node, args, kwargs)
            except Exception as raised:  # noqa: BLE001 - the call's own
                error = raised
            ends.append(CallEnd(position, value, error, began, time.monotonic(), "far"))
            given.append(value)
            if (
                len(ends) == self._most
                or error is not None
                or isinstance(value, StandsForValue)
                or _holds(value)
            ):
                break
        yield Progress(ends)


def _holds(value: Any) -> bool:
    return type(value) in (list, tuple, dict) and holds_inside(value)


def _with_earlier(given: Any, values: list[Any]) -> Any:
    if isinstance(given, EarlierResult):
        return values[given.position]
    if type(given) is dict:
        return {key: _with_earlier(each, values) for key, each in given.items()}
    if type(given) in (list, tuple):
        return type(given)(_with_earlier(each, values) for each in given)
    return given
