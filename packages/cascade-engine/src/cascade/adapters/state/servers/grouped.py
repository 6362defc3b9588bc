"""Groups: what many ask for at the same time is done in one go.

What is asked for while a group is being done goes with the next one. So who asks alone waits for nobody, and a hundred
who ask together wait for the server, and its disk, a few times and not a hundred times.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from cascade.adapters.spawning import ended, spawn
from cascade.spec.errors import StoreError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_MOST = 128
"""Items of one group: who asks next waits no longer than they take."""


class Grouped(Generic[_Item, _Result]):
    """Does what is asked of it in one event loop: with `do_one` what is asked for alone, else group by group."""

    def __init__(
        self,
        do_one: Callable[[_Item], Awaitable[_Result]],
        do_all: Callable[[Sequence[_Item]], Awaitable[Sequence[_Result | StoreError]]],
    ) -> None:
        self._do_one = do_one
        self._do_all = do_all
        self._waiting: deque[tuple[_Item, asyncio.Future[_Result]]] = deque()
        self._is_busy = False
        self._working: asyncio.Task[None] | None = None  # kept: the event loop has weak references alone

    async def do(self, item: _Item) -> _Result:
        """Have it done. In a group it is done also when the caller is cancelled, who then gets the result all the same.

        Raises:
            StoreError: If that fails.
        """
        if self._is_busy:
            return await self._done_with_others(item)
        self._is_busy = True
        try:
            return await self._do_one(
                item
            )  # in the caller's task: another one would cost a tenth of a lone write
        finally:
            if self._waiting:
                self._working = spawn(self._work())
            else:
                self._is_busy = False

    async def _done_with_others(self, item: _Item) -> _Result:
        done: asyncio.Future[_Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, done))
        cancelled = await ended(done, lambda request: None)
        try:
            if cancelled is not None and done.cancelled():
                raise cancelled
            return done.result()
        finally:
            del done, cancelled  # their tracebacks have this frame: they would be cycles

    async def _work(self) -> None:
        group: list[tuple[_Item, asyncio.Future[_Result]]] = []
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(_MOST, len(self._waiting)))]
                for (_, done), result in zip(group, await self._results(group), strict=True):
                    if isinstance(result, StoreError):
                        done.set_exception(result)
                    else:
                        done.set_result(result)
        finally:
            self._is_busy, self._working = False, None
            for _, done in (*group, *self._waiting):  # none, unless the event loop is being closed
                done.cancel()
            self._waiting.clear()

    async def _results(
        self, group: list[tuple[_Item, asyncio.Future[_Result]]]
    ) -> Sequence[_Result | StoreError]:
        try:
            return await self._do_all([item for item, _ in group])
        except StoreError as problem:
            return [problem, *(_another(problem) for _ in group[1:])]


def _another(problem: StoreError) -> StoreError:
    """Return the error for another one who waits: each notes on its own what was lost by it."""
    error = StoreError(problem.store, problem.problem)
    error.__cause__ = problem.__cause__
    return error
