"""The default executor: this thread, threads of its own, or other processes on this machine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from cascade.adapters.executors.call_places import CallPlace, place_of_mode
from cascade.adapters.executors.chunks import ChunkCall, Progress, execute_each
from cascade.adapters.executors.local_calls.threads import ThreadCalls
from cascade.adapters.forks import leave_alone, watch_forks
from cascade.graph.nodes import Node
from cascade.spec.internal_tasks import INTERNAL_TASKS
from cascade.spec.policies.mode import Mode, parse_mode
from cascade.spec.task import AnyTask

if TYPE_CHECKING:
    from cascade.adapters.executors.local_calls.process_calls import ProcessCalls


class LocalExecutor:
    """Calls `async def` on the event loop and `def` where its mode says.

    `mode` is for tasks that name none. Pools are made at first use: of `threads` threads (by default as many as
    `ThreadPoolExecutor` takes), and of up to `processes` fresh interpreters (by default one per core).
    """

    def __init__(
        self, mode: str | Mode = Mode.INLINE, threads: int | None = None, processes: int | None = None
    ) -> None:
        self.default_mode = parse_mode(mode)
        self._thread_count = threads
        self._process_count = processes
        self._threads: ThreadCalls | None = None
        self._processes: ProcessCalls | None = None

    def mode_of(self, task: AnyTask, mode: Mode | None) -> Mode | None:
        """Return where a call of the task runs; `None` for `async def`, which runs on the loop."""
        if task.is_async:
            return None
        return mode or (Mode.INLINE if task in INTERNAL_TASKS else self.default_mode)

    def place_of(self, task: AnyTask, mode: Mode | None) -> CallPlace:
        """Return where a call of the task is made, and what a timeout and a cancellation do to it."""
        return place_of_mode(self.mode_of(task, mode))

    def admission(self, node: Node) -> AbstractAsyncContextManager[object]:
        """Wait for the worker that a call needs: a thread, or a process that has started and imported the task.

        The next `execute` in the same context uses it. Without this, `execute` waits itself.
        """
        task = node.task
        assert task is not None
        mode = self.mode_of(task, node.mode)
        if mode is Mode.THREAD:
            return self._thread_calls().admission()
        if mode is Mode.PROCESS:
            return self._process_calls().admission(task)
        return nullcontext()

    async def execute(self, node: Node, args: tuple[object, ...], kwargs: dict[str, object]) -> Any:
        """Make the call. When cancelled, return after the call has ended; one in a process is killed.

        Raises:
            BoundaryError: If an argument or the result can't be sent to or from another process.
            RemoteError: If the task raises in another process what can't be sent.
            WorkerDiedError: If that process ends without an answer.
            WorkerLoadError: If it can't find the task.
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
            return await self._thread_calls().call(func, args, kwargs)
        return await self._process_calls().call(task, args, kwargs)

    def execute_chunk(self, node: Node, calls: Sequence[ChunkCall]) -> AsyncIterator[Progress]:
        """Make the calls one after the other in one worker; tell what has ended at the latest every 20 ms.

        A call fails alone, as in `execute`. After 20 ms the calls that have not begun are given back. When cancelled, a
        thread is waited for until its call has ended, and a process is killed.
        """
        func, task = node.callable_obj, node.task
        assert func is not None
        assert task is not None
        mode = self.mode_of(task, node.mode)
        if mode is Mode.THREAD:
            return self._thread_calls().call_chunk(func, calls)
        if mode is Mode.PROCESS:
            return self._process_calls().call_chunk(task, calls)
        return execute_each(lambda call: self.execute(node, call.args, call.kwargs), calls)

    def forget_parent(self) -> None:
        """Make new threads and processes in a forked child: those of the parent are not its own."""
        threads, processes = self._threads, self._processes
        self._threads = self._processes = None
        leave_alone(threads)
        if processes is not None:
            processes.forget_parent()

    async def close(self) -> None:
        """End the threads and processes. The executor can be used again: it makes new ones."""
        threads, processes = self._threads, self._processes
        self._threads = self._processes = None
        if threads is not None:
            threads.close()
        if processes is not None:
            await processes.close()

    def _thread_calls(self) -> ThreadCalls:
        if self._threads is None:
            self._threads = ThreadCalls(self._thread_count)
            watch_forks(self)
        return self._threads

    def _process_calls(self) -> ProcessCalls:
        if self._processes is None:
            from cascade.adapters.executors.local_calls.process_calls import ProcessCalls  # noqa: PLC0415 - brings multiprocessing

            self._processes = ProcessCalls(self._process_count)
            watch_forks(self)
        return self._processes
