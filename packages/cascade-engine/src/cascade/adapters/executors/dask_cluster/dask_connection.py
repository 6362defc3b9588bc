"""One connection to a Dask cluster: sends requests, hears of their ends, and lets go of what nobody needs.

All of it runs in the event loop of its client.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from dask.base import annotate
from distributed import Client, KilledWorker
from distributed.comm.core import connect as connect_to

from cascade.adapters.executors.boundary_errors import ClusterGoneError, WorkerDiedError, WorkerLoadError
from cascade.adapters.executors.dask_cluster.dask_requests import make_request, withdraw
from cascade.adapters.executors.dask_cluster.scheduler_guard import ANNOTATION, CallGuard
from cascade.adapters.executors.remote_calls.remote_executor import (
    Answer,
    ReferenceLostError,
    SentRequest,
)

LARGE_REQUEST = 1 << 20
"""A request with more bytes goes to a worker as data: Dask's scheduler keeps each task as long as it is there."""

_LOOK_SECONDS = 0.2
"""How often to look whether a request has ended without a report: its worker is gone, or a value that it needs."""


class _Sent:
    """A request that is out. `ended` gives its message, an error, or `None` if it never begins."""

    __slots__ = ("begun_on", "ended", "looks", "task", "work")

    def __init__(self, task: str) -> None:
        self.task = task
        self.ended: asyncio.Future[Mapping[str, Any] | BaseException | None] = (
            asyncio.get_running_loop().create_future()
        )
        self.work: Any = None
        self.begun_on: set[str] = set()
        self.looks = 0

    def settle(self, outcome: Mapping[str, Any] | BaseException | None) -> None:
        if not self.ended.done():
            self.ended.set_result(outcome)


class Connection:
    """Requests of one executor in one event loop. `tell_threads` is told how many threads the workers have."""

    def __init__(self, client: Any, is_ours: bool, tell_threads: Callable[[int], None]) -> None:
        self.client = client
        self.loop = asyncio.get_running_loop()
        self._is_ours = is_ours
        self._tell_threads = tell_threads
        self._name = uuid.uuid4().hex
        self._topic = f"cascade-{self._name}"
        self._numbers = itertools.count()
        self._waiting: dict[str, _Sent] = {}
        self._watcher: asyncio.Task[None] | None = None
        self._inquiries: set[asyncio.Task[None]] = set()
        self._resources: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Prepare the cluster, and look what it has."""
        await self.client.register_plugin(CallGuard())
        self.client.subscribe_topic(self._topic, self._hear)
        await self._look_at_workers()

    async def send(self, request: SentRequest) -> Answer:
        """Let a worker make the calls of a request once; see `RemoteCalls.send`."""
        key = f"{request.task.name}-{self._name}-{next(self._numbers)}"
        sent = self._waiting[key] = _Sent(request.task.name)
        cancelled: asyncio.CancelledError | None = None
        try:
            payload: Any = request.request
            if len(payload) > LARGE_REQUEST:
                payload = await self.client.scatter(payload, hash=False)
            sent.work = self._submit(key, payload, request)
            self._watch()
            while True:
                try:
                    outcome = await sent.ended
                    break
                except asyncio.CancelledError as error:
                    cancelled = error
                    sent.ended = asyncio.get_running_loop().create_future()
                    self._inquire_soon(key)
        finally:
            del self._waiting[key]
        if isinstance(outcome, BaseException):
            raise outcome if cancelled is None else cancelled
        if outcome is None:
            raise self._lost(request) if cancelled is None else cancelled
        report = outcome["report"] or await self.client.gather(sent.work)
        return Answer(report, sent.work if outcome["stays"] else None, cancelled)

    def _submit(self, key: str, payload: object, request: SentRequest) -> Any:
        amounts = {name: amount for name, amount in request.amounts.items() if name in self._resources}
        with annotate(**{ANNOTATION: True}):
            return self.client.submit(
                make_request,
                self._topic,
                payload,
                *request.references,
                key=key,
                pure=False,
                resources=amounts or None,
            )

    async def bring(self, reference: object) -> object:
        """Return the value of a future."""
        try:
            return await self.client.gather(reference)
        except (CancelledError, KilledWorker) as error:  # not the one of asyncio: it is about the value
            raise ReferenceLostError([reference], "its worker is gone") from error

    async def close(self) -> None:
        """End what this connection does; close the client if it is ours."""
        ending = [*self._inquiries, *([] if self._watcher is None else [self._watcher])]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for sent in self._waiting.values():
            sent.settle(ClusterGoneError(self.address, "the executor is closed"))
        if self.client.status == "running":
            self.client.unsubscribe_topic(self._topic)
        if self._is_ours:
            await self.client.close()

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return str(getattr(self.client.scheduler, "address", "the scheduler"))

    # What is heard, and what is found out

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        sent = self._waiting.get(event[1]["key"])
        if sent is not None:
            sent.settle(event[1])

    def _lost(self, request: SentRequest) -> BaseException:
        lost = [each for each in request.references if getattr(each, "status", "") != "finished"]
        if lost:
            return ReferenceLostError(lost, "its worker is gone")
        return ClusterGoneError(self.address, "it has forgotten a call that had not begun")

    def _watch(self) -> None:
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Look from time to time whether a request has ended without a report, as long as there is one."""
        looks = 0
        while self._waiting:
            await asyncio.sleep(_LOOK_SECONDS)
            looks += 1
            if self.client.status != "running":
                for sent in self._waiting.values():
                    sent.settle(ClusterGoneError(self.address, "the connection to it is lost"))
                return
            await self._inquire([key for key, sent in self._waiting.items() if await _is_odd(sent)])
            if looks % _LOOKS_AT_WORKERS == 0:
                await self._look_at_workers()

    def _inquire_soon(self, key: str) -> None:
        inquiry = asyncio.create_task(self._inquire([key]))
        self._inquiries.add(inquiry)
        inquiry.add_done_callback(self._inquiries.discard)

    async def _inquire(self, keys: Sequence[str]) -> None:
        """Withdraw requests, and find out whether they have begun. Those that have are waited for."""
        if not keys:
            return
        found = await self.client.run(withdraw, keys, on_error="ignore")
        for key in keys:
            sent = self._waiting.get(key)
            if sent is None:
                continue
            begun_on = {worker for worker, begun in found.items() if key in begun}
            if begun_on:
                sent.begun_on = begun_on
            elif sent.begun_on:
                sent.settle(WorkerDiedError(sent.task, None))
            else:
                sent.settle(None)

    async def _look_at_workers(self) -> None:
        known = await self.client.scheduler.identity(n_workers=-1)
        workers = known["workers"].values()
        self._resources = frozenset(name for worker in workers for name in worker["resources"])
        self._tell_threads(sum(worker["nthreads"] for worker in workers))


async def _is_odd(sent: _Sent) -> bool:
    """Tell whether it has to be found out what has become of a request; settle it if that is known."""
    status = "" if sent.work is None else sent.work.status
    if status == "error":
        sent.settle(_error_of(sent.task, await sent.work.exception()))
    if status == "finished":
        sent.looks += 1
    return status in ("cancelled", "lost") or sent.looks > 1 or bool(sent.begun_on)


def _error_of(task: str, error: BaseException | None) -> BaseException:
    if isinstance(error, KilledWorker):
        return WorkerDiedError(task, None)
    problem = f"{type(error).__name__}: {error}"
    return WorkerLoadError(task, "cascade.adapters.executors.dask_cluster.dask_requests", problem)


_LOOKS_AT_WORKERS = 10
"""After how many looks to ask which workers there are."""


async def connect(target: object, tell_threads: Callable[[int], None]) -> Connection:
    """Return a connection to the scheduler at an address, to that of a cluster, or that of a client.

    Raises:
        ClusterGoneError: If nobody answers there.
    """
    is_ours = not isinstance(target, Client)
    client: Any = target
    if is_ours:
        try:
            if isinstance(target, str) and target.startswith(_PLAIN_TCP):
                # A client that finds nobody leaves coroutines behind that nobody awaits.
                open_once: Any = connect_to
                (await open_once(target, timeout=_ANSWER_SECONDS)).abort()
            make_client: Any = Client
            client = await make_client(
                target, asynchronous=True, set_as_default=False, timeout=_ANSWER_SECONDS
            )
        except (OSError, ValueError) as error:
            raise ClusterGoneError(str(target), f"nobody answers as a Dask scheduler ({error})") from None
    connection = Connection(client, is_ours, tell_threads)
    await connection.start()
    return connection


_PLAIN_TCP = "tcp://"

_ANSWER_SECONDS = 3.0
"""How long a scheduler may take to answer."""
