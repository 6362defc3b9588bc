"""The default executor: this thread, threads of its own, or other processes on this machine."""

from __future__ import annotations

import asyncio
import contextvars
import multiprocessing
import traceback
from collections.abc import Callable
from concurrent.futures import Executor as Pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from cascade.graph.model import Node
from cascade.spec.common import READ_INPUT
from cascade.spec.compose import CALL_FACTORY, COLLECT
from cascade.spec.policies import Mode, parse_mode
from cascade.spec.task import Task


class LocalExecutor:
    """Calls `async def` on the event loop and `def` where its mode says.

    `mode` is for tasks that name none. Pools are made at first use: of `threads` threads (by default what
    `ThreadPoolExecutor` takes), and of `processes` fresh interpreters (by default one per core).
    """

    def __init__(
        self, mode: str | Mode = Mode.INLINE, threads: int | None = None, processes: int | None = None
    ) -> None:
        self.default_mode = parse_mode(mode)
        self._threads = threads
        self._processes = processes
        self._thread_pool: ThreadPoolExecutor | None = None
        self._process_pool: ProcessPoolExecutor | None = None

    def mode_of(self, task: Task[Any], mode: Mode | None) -> Mode | None:
        """Return where a call of the task runs; `None` for `async def`, which runs on the loop."""
        if task.is_async:
            return None
        return mode or (Mode.INLINE if task in _OWN_TASKS else self.default_mode)

    async def execute(self, node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Make the call; when cancelled, return after it has really ended.

        Raises:
            TaskReferenceError: If the task is to run in another process, which could not find it.
        """
        func, task = node.callable_obj, node.task
        assert func is not None
        assert task is not None
        mode = self.mode_of(task, node.mode)
        if mode is None:
            return await func(*args, **kwargs)
        if mode is Mode.INLINE:
            return func(*args, **kwargs)
        if mode is Mode.THREAD:
            context = contextvars.copy_context()
            return await _in_pool(self._thread(), context.run, _outcome, func, args, kwargs)
        pool = self._process()
        try:
            return await _in_pool(pool, _outcome_of_task, task, args, kwargs)
        except BrokenProcessPool:
            if (
                self._process_pool is pool
            ):  # a worker has died; the next call, perhaps a retry, gets a new pool
                self._process_pool = None
                pool.shutdown(wait=False)
            raise

    async def close(self) -> None:
        """End the threads and processes. The executor can be used again: it makes new ones."""
        pools = [pool for pool in (self._thread_pool, self._process_pool) if pool is not None]
        self._thread_pool = self._process_pool = None
        for pool in pools:
            # All calls have ended by now, so nothing is waited for but the workers' own end.
            await asyncio.to_thread(pool.shutdown) if isinstance(
                pool, ProcessPoolExecutor
            ) else pool.shutdown()

    def _thread(self) -> ThreadPoolExecutor:
        if self._thread_pool is None:
            self._thread_pool = ThreadPoolExecutor(self._threads, thread_name_prefix="cascade")
        return self._thread_pool

    def _process(self) -> ProcessPoolExecutor:
        if self._process_pool is None:
            # A forked copy of a program with threads may hang, so workers start from nothing.
            fresh = multiprocessing.get_context("spawn")
            self._process_pool = ProcessPoolExecutor(self._processes, mp_context=fresh)
        return self._process_pool


_OWN_TASKS = frozenset({COLLECT, CALL_FACTORY, READ_INPUT})
"""Cascade's own tasks, which do nothing that is worth a thread or could be found in another process."""

Outcome = tuple[bool, Any]
"""Whether a call gave a value, and the value or the exception: a future can't carry every exception."""


async def _in_pool(pool: Pool, call: Callable[..., Outcome], *args: Any) -> Any:
    """Make a call in a pool and wait until it has ended, also when cancelled meanwhile."""
    work = pool.submit(call, *args)
    waiting = asyncio.wrap_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError as request:
            if work.cancel() or waiting.cancelled():  # it had not begun
                raise
            cancelled = request
        except BaseException:  # noqa: BLE001 - raised again below, from the finished work
            break
    if cancelled is not None:
        raise cancelled
    succeeded, result = work.result()
    if succeeded:
        return result
    raise result


def _outcome(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    try:
        return True, func(*args, **kwargs)
    except BaseException as error:  # noqa: BLE001 - carried to the loop's thread and raised there
        return False, error


def _outcome_of_task(task: Task[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Outcome:
    succeeded, result = _outcome(task.func, args, kwargs)
    if not succeeded:
        # Frames can't be sent, so the way through them goes along as text.
        result.add_note(
            "in another process:\n" + "".join(traceback.format_tb(result.__traceback__)[1:]).rstrip()
        )
    return succeeded, result
