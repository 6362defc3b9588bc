"""One connection to a Dask cluster: sends requests, hears of their ends, and lets go of what nobody needs.

All of it runs in the event loop of its client.
"""

from __future__ import annotations

import asyncio
import itertools
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import CancelledError
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from dask.base import annotate
from distributed import Client, KilledWorker
from distributed.comm.core import connect as connect_to

from cascade.adapters.executors.boundary_errors import ClusterGoneError, WorkerDiedError, WorkerLoadError
from cascade.adapters.executors.dask_cluster.dask_requests import journal_name, make_request, withdraw
from cascade.adapters.executors.dask_cluster.scheduler_guard import ANNOTATION, CallGuard
from cascade.adapters.executors.remote_calls.remote_executor import (
    Answer,
    ReferenceLostError,
    SentRequest,
)
from cascade.adapters.executors.remote_calls.sent_calls import DeadCall
from cascade.adapters.executors.remote_calls.worker_journal import find_remains
from cascade.spec.calls.error_text import error_text

LARGE_REQUEST = 1 << 20
"""A request with more bytes goes to a worker as data: Dask's scheduler keeps each task as long as it is there."""

_LOOK_SECONDS = 0.2
"""How often to look whether a request has ended without a report: its worker is gone, or a value that it needs."""


class NotBegun(Enum):
    """Why no call of a request has begun, and none will.

    WITHDRAWN: it was cancelled, or a value that it needs is gone. WORKER_GONE: its worker died before it came to it.
    """

    WITHDRAWN = "withdrawn"
    WORKER_GONE = "worker gone"


class _Ended(NamedTuple):
    """What has come of a request: its report, which has to be fetched if it is empty, and whether a value stays.

    `under_way` is the position of the call with which its worker has died.
    """

    report: bytes
    stays: bool
    under_way: int | None = None


_Outcome: TypeAlias = _Ended | NotBegun | BaseException


class _Sent:
    """A request that is out. `ended` gives its outcome."""

    __slots__ = ("begun_on", "ended", "is_looked_into", "looks", "task", "work")

    def __init__(self, task: str) -> None:
        self.task = task
        self.ended: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self.work: Any = None
        self.begun_on: set[str] = set()
        self.is_looked_into = False
        self.looks = 0

    def settle(self, outcome: _Outcome) -> None:
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
        self._line: Any = client.scheduler_comm

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent.

        A client that has found its scheduler again is another connection: nobody there guards calls, or tells of them.
        """
        is_same = self.client.scheduler_comm is self._line
        return self.client.status == "running" and is_same and not self._line.closed()

    @property
    def is_over(self) -> bool:
        """Whether there should be another one: it is lost, and its client does not look for the scheduler just now."""
        status = self.client.status
        return status == "closed" or (self.client.scheduler_comm is not self._line and status != "connecting")

    async def start(self) -> None:
        """Prepare the cluster, and look what it has."""
        await self.client.register_plugin(CallGuard())
        self.client.subscribe_topic(self._topic, self._hear)
        await self._look_at_workers()

    async def send(self, request: SentRequest) -> Answer:
        """Let a worker make the calls of a request once; see `RemoteCalls.send`."""
        cancelled: asyncio.CancelledError | None = None
        while True:
            self._check_open()
            lost = [each for each in request.references if self._is_of_another(each)]
            if lost:
                raise ReferenceLostError(lost, _LOST_WITH_CLUSTER)
            key = f"{request.task.name}-{self._name}-{next(self._numbers)}"
            sent = self._waiting[key] = _Sent(request.task.name)
            try:
                payload: Any = request.request
                if len(payload) > LARGE_REQUEST:
                    payload = await self._scattered(payload)
                sent.work = self._submit(key, payload, request)
                self._watch()
                outcome, stopped = await self._outcome_of(key, sent)
            finally:
                del self._waiting[key]
            cancelled = stopped or cancelled
            if outcome is NotBegun.WORKER_GONE and cancelled is None:
                continue  # it goes to another one
            if isinstance(outcome, _Ended):
                return await self._answer(request, sent, outcome, cancelled)
            if cancelled is not None:
                raise cancelled
            raise outcome if isinstance(outcome, BaseException) else self._lost(request)

    def _is_of_another(self, reference: Any) -> bool:
        """Tell whether a value was made for a connection that is lost."""
        return reference.client is not self.client

    def _check_open(self) -> None:
        if not self.is_open:
            raise ClusterGoneError(self.address, _LOST)

    async def _scattered(self, payload: bytes) -> object:
        try:
            return await self.client.scatter(payload, hash=False)
        except OSError:
            raise ClusterGoneError(self.address, _LOST) from None

    async def _outcome_of(self, key: str, sent: _Sent) -> tuple[_Outcome, asyncio.CancelledError | None]:
        """Wait for the outcome of a request. If cancelled, withdraw it; what has begun is waited for."""
        cancelled: asyncio.CancelledError | None = None
        while True:
            try:
                return await sent.ended, cancelled
            except asyncio.CancelledError as error:
                cancelled = error
                sent.ended = asyncio.get_running_loop().create_future()
                self._begin(self._inquire([key]))

    async def _answer(
        self, request: SentRequest, sent: _Sent, ended: _Ended, cancelled: asyncio.CancelledError | None
    ) -> Answer:
        report = ended.report or await self.client.gather(sent.work)
        died = None
        if ended.under_way is not None and ended.under_way < request.calls:
            died = DeadCall(ended.under_way, WorkerDiedError(request.task.name, None))
        return Answer(report, sent.work if ended.stays else None, cancelled, died)

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
        if self._is_of_another(reference):
            raise ReferenceLostError([reference], _LOST_WITH_CLUSTER)
        self._check_open()
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
        if self.is_open:
            self.client.unsubscribe_topic(self._topic)
        if self._is_ours:
            await self.client.close()

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return str(getattr(self.client.scheduler, "address", "the scheduler"))

    # What is heard, and what is found out

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        message = event[1]
        sent = self._waiting.get(message["key"])
        if sent is not None:
            sent.settle(_Ended(message["report"], message["stays"]))

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
        try:
            for looks in itertools.count(1):
                await asyncio.sleep(_LOOK_SECONDS)
                if not self._waiting:
                    return
                self._check_open()
                await self._look_into([*self._waiting.items()])
                if looks % _LOOKS_AT_WORKERS == 0:
                    await self._look_at_workers()
        except Exception as error:  # noqa: BLE001 - whatever Dask raises, nobody waits in vain
            problem = error_text(error) if self.is_open else _LOST
            for sent in self._waiting.values():
                sent.settle(ClusterGoneError(self.address, problem))

    async def _look_into(self, waiting: Sequence[tuple[str, _Sent]]) -> None:
        """Find out what has become of requests that Dask has no work for any more."""
        odd = []
        for key, sent in waiting:
            status = "" if sent.work is None else sent.work.status
            if status == "error" and not sent.is_looked_into:
                sent.is_looked_into = True
                self._begin(self._end_failed(key, sent))
            if status == "finished":
                sent.looks += 1
            if status in ("cancelled", "lost") or sent.looks > 1 or sent.begun_on:
                odd.append(key)
        await self._inquire(odd)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        inquiry = asyncio.create_task(work)
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
                sent.settle(NotBegun.WITHDRAWN)

    async def _end_failed(self, key: str, sent: _Sent) -> None:
        """Settle a request that Dask has given up."""
        error = await sent.work.exception()
        if isinstance(error, KilledWorker):
            sent.settle(await self._remains_of(key, sent.task, error.last_worker))
        else:
            sent.settle(WorkerLoadError(sent.task, make_request.__module__, error_text(error)))

    async def _remains_of(self, key: str, task: str, dead: Any) -> _Outcome:
        """Ask other workers at the address of one what it has left that died there.

        They may have a file system of their own, as containers have. So who knows of nothing tells only then that no
        call has begun if it is started by the same nanny, which has to start it first.
        """
        name = journal_name(key)
        for _ in range(_SEARCHES):
            known = await self.client.scheduler.identity(n_workers=-1)
            near = {
                worker: facts["nanny"]
                for worker, facts in known["workers"].items()
                if facts["host"] == dead.host
            }
            found = {}
            if near:
                found = await self.client.run(find_remains, name, workers=[*near], on_error="ignore")
            for remains in found.values():
                if remains is not None:
                    return _Ended(remains.report, stays=False, under_way=remains.under_way)
            if any(near[worker] == dead.nanny for worker in found):
                return NotBegun.WORKER_GONE
            await asyncio.sleep(_LOOK_SECONDS)
        return WorkerDiedError(task, None)

    async def _look_at_workers(self) -> None:
        known = await self.client.scheduler.identity(n_workers=-1)
        workers = known["workers"].values()
        self._resources = frozenset(name for worker in workers for name in worker["resources"])
        self._tell_threads(sum(worker["nthreads"] for worker in workers))


_LOST = "the connection to it is lost"
_LOST_WITH_CLUSTER = "the connection to its cluster was lost"

_SEARCHES = 30
"""How often to look for a worker on the machine of one that died: that long it may take to start again."""

_LOOKS_AT_WORKERS = 10
"""After how many looks to ask which workers there are."""


async def connect(target: object, tell_threads: Callable[[int], None]) -> Connection:
    """Return a connection to the scheduler at an address, to that of a cluster, or that of a client.

    Raises:
        ClusterGoneError: If nobody answers there, or the client is closed.
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
    elif client.status not in ("running", "connecting"):
        raise ClusterGoneError(str(target), "the client is closed")
    connection = Connection(client, is_ours, tell_threads)
    await connection.start()
    return connection


_PLAIN_TCP = "tcp://"

_ANSWER_SECONDS = 3.0
"""How long a scheduler may take to answer."""
