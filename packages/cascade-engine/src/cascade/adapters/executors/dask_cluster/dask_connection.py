"""One connection to a Dask cluster: sends requests, hears of their ends, and lets go of what nobody needs.

All of it runs in the event loop of its client.
"""

from __future__ import annotations

import asyncio
import itertools
import pkgutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from dask._task_spec import Task
from dask.base import annotate
from dask.utils import apply
from distributed import Client, KilledWorker
from distributed.comm.core import connect as connect_to
from distributed.deploy.cluster import Cluster

from cascade.adapters.executors.boundary_errors import ClusterGoneError, WorkerDiedError
from cascade.adapters.executors.dask_cluster.cluster_workers import ClusterWorkers
from cascade.adapters.executors.dask_cluster.dask_requests import make_request
from cascade.adapters.executors.dask_cluster.request_watch import LOST_STATUSES, RequestWatch
from cascade.adapters.executors.dask_cluster.scheduler_guard import ANNOTATION, CallGuard
from cascade.adapters.executors.dask_cluster.scheduler_line import SILENCE_SECONDS, SchedulerLine
from cascade.adapters.executors.dask_cluster.sent_requests import Ended, NotBegun, Outcome, SentWork
from cascade.adapters.executors.remote_calls.call_reports import without_last
from cascade.adapters.executors.remote_calls.remote_executor import (
    Answer,
    ReferenceLostError,
    SentRequest,
)
from cascade.adapters.executors.remote_calls.sent_calls import DeadCall

LARGE_REQUEST = 1 << 20
"""A request with more bytes goes to a worker as data: Dask's scheduler keeps each task as long as it is there."""

_TRIES = 4
"""How often a request is sent whose worker dies each time before it comes to it."""

# Found by its name when the task runs. A function itself is found when the message comes: a worker without Cascade
# would not survive that.
_MAKE_REQUEST = Task(None, pkgutil.resolve_name, f"{make_request.__module__}:{make_request.__name__}")

_LOST_WITH_CLUSTER = "the connection to its cluster was lost"
_LOST_WITH_WORKER = "its worker is gone"


class Connection:
    """Requests of one executor in one event loop. `is_ours` says that the client is closed with the connection."""

    def __init__(self, client: Any, is_ours: bool, workers: ClusterWorkers) -> None:
        self.client = client
        self.loop = asyncio.get_running_loop()
        self._line = workers.line
        self._watch = RequestWatch(self._line, self._look_at_workers)
        self._is_ours = is_ours
        self._name = uuid.uuid4().hex
        self._topic = f"cascade-{self._name}"
        self._is_heard = False
        self._numbers = itertools.count()
        self._workers = workers

    @property
    def is_over(self) -> bool:
        """Whether there should be another one."""
        return self._line.is_over

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return self._line.address

    async def start(self) -> None:
        """Prepare the cluster, and look what it has.

        Raises:
            ClusterGoneError: If its scheduler lacks Cascade.
        """
        try:
            await self.client.register_plugin(CallGuard())
        except ImportError as error:
            problem = f"its scheduler needs Cascade ({error}); install cascade-engine[dask] there, too"
            raise self._line.gone(problem) from None
        self.client.subscribe_topic(self._topic, self._watch.hear)
        self._is_heard = True
        await self._workers.look()

    async def send(self, request: SentRequest) -> Answer:
        """Let a worker make the calls of a request once; see `RemoteCalls.send`."""
        for _ in range(_TRIES):
            outcome = await self._send_once(request)
            if isinstance(outcome, Answer):
                return outcome
            if isinstance(outcome, BaseException):
                raise outcome
        # Nothing has begun, as far as can be known.
        if outcome is NotBegun.WORKER_GONE:
            raise WorkerDiedError(request.task.name, None)
        raise self._line.gone("it has forgotten a call that had not begun")

    async def _send_once(self, request: SentRequest) -> Answer | NotBegun | BaseException:
        self._line.check()
        self._check_values(request)
        amounts = await self._workers.counted(request.task.name, request.amounts)
        key = f"{request.task.name}-{self._name}-{next(self._numbers)}"
        sent = self._watch.waiting[key] = SentWork(request.task.name, amounts)
        self._watch.go_on()
        try:
            payload: Any = request.request
            if len(payload) > LARGE_REQUEST:
                payload = await self._scattered(payload)
            sent.work = self._submit(key, payload, request.references, amounts)
            outcome, cancelled = await self._outcome_of(key, sent)
        finally:
            del self._watch.waiting[key]
        if isinstance(outcome, Ended):
            return await self._answer(request, sent, outcome, cancelled)
        if cancelled is not None:
            raise cancelled
        if outcome is NotBegun.WITHDRAWN:
            self._check_values(request)
        return outcome

    def _check_values(self, request: SentRequest) -> None:
        """Raise an error if values that a request needs are gone: Dask would give up each call that takes them."""
        lost = [each for each in request.references if self._is_of_another(each)]
        if lost:
            raise ReferenceLostError(lost, _LOST_WITH_CLUSTER)
        lost = [each for each in request.references if getattr(each, "status", "") in LOST_STATUSES]
        if lost:
            raise ReferenceLostError(lost, _LOST_WITH_WORKER)

    def _is_of_another(self, reference: Any) -> bool:
        """Tell whether a value was made for a connection that is lost."""
        return reference.client is not self.client

    async def _scattered(self, payload: bytes) -> object:
        while True:
            try:
                return await self.client.scatter(payload, hash=False)
            except TimeoutError:  # there is no worker just now: one may come, as for other requests
                self._line.check()
            except OSError as error:
                raise self._line.gone(error) from None

    async def _outcome_of(self, key: str, sent: SentWork) -> tuple[Outcome, asyncio.CancelledError | None]:
        """Wait for the outcome of a request. If cancelled, withdraw it; what has begun is waited for."""
        cancelled: asyncio.CancelledError | None = None
        while sent.outcome is None:
            try:
                await sent.wake
            except asyncio.CancelledError as stopped:
                cancelled = stopped
                if sent.outcome is None:
                    sent.wake = asyncio.get_running_loop().create_future()
                    self._watch.withdraw(key, sent)
        return sent.outcome, cancelled

    async def _answer(
        self, request: SentRequest, sent: SentWork, ended: Ended, cancelled: asyncio.CancelledError | None
    ) -> Answer:
        report, under_way, reference = ended.report, ended.under_way, None
        if not report:
            report, stopped = await self._large_report(sent)
            cancelled = stopped or cancelled
        if ended.stays:
            reference = sent.work
            if sent.work.status in LOST_STATUSES:
                # Its worker was gone before Dask had noted the value: as if the call had died with it.
                report, under_way = without_last(report)
        died = None
        if under_way is not None and under_way < request.calls:
            died = DeadCall(under_way, WorkerDiedError(request.task.name, None))
        return Answer(report, reference, cancelled, died)

    async def _large_report(self, sent: SentWork) -> tuple[bytes, asyncio.CancelledError | None]:
        """Fetch a report, also if cancelled meanwhile: the calls have been made."""
        fetching = asyncio.ensure_future(self._gathered(sent.work))
        cancelled: asyncio.CancelledError | None = None
        while not fetching.done():
            try:
                await asyncio.wait([fetching])
            except asyncio.CancelledError as stopped:
                cancelled = stopped
        try:
            report: Any = fetching.result()
        except ReferenceLostError:
            raise cancelled or WorkerDiedError(sent.task, None) from None
        return report, cancelled

    def _submit(
        self, key: str, payload: object, references: Sequence[object], amounts: Mapping[str, float]
    ) -> Any:
        with annotate(**{ANNOTATION: self._topic}):
            return self.client.submit(
                apply,
                _MAKE_REQUEST,
                [self._topic, payload, *references],
                key=key,
                pure=False,
                resources=dict(amounts) or None,
            )

    async def bring(self, reference: object) -> object:
        """Return the value of a future."""
        if self._is_of_another(reference):
            raise ReferenceLostError([reference], _LOST_WITH_CLUSTER)
        self._line.check()
        return await self._gathered(reference)

    async def _gathered(self, reference: object) -> object:
        gathering = asyncio.ensure_future(self.client.gather(reference))
        try:
            while not (await asyncio.wait([gathering], timeout=SILENCE_SECONDS))[0]:
                await self._line.identity()  # a large value takes long, but the scheduler answers
            return gathering.result()
        except (CancelledError, KilledWorker) as error:  # not the one of asyncio: it is about the value
            raise ReferenceLostError([reference], _LOST_WITH_WORKER) from error
        except OSError as error:
            if self._line.is_open and gathering.done():
                raise
            raise self._line.gone(error) from None
        finally:
            gathering.cancel()

    async def close(self) -> None:
        """End what this connection does; close the client if it is ours."""
        await self._watch.close()
        if self._line.is_open and self._is_heard:
            self.client.unsubscribe_topic(self._topic)
        if self._is_ours:
            await self.client.close()

    async def _look_at_workers(self) -> None:
        await self._workers.look()
        self._workers.warn(self._watch.waiting.values())


async def connect(target: object, tell_threads: Callable[[int], None]) -> Connection:
    """Return a connection to the scheduler at an address, to that of a cluster, or that of a client.

    Raises:
        ClusterGoneError: If nobody answers there, or the client is closed.
    """
    is_ours = not isinstance(target, Client)
    client: Any = target
    if is_ours:
        client = await _new_client(target)
    elif client.status not in ("running", "connecting"):
        raise ClusterGoneError(str(target), "the client is closed")
    cluster = target if isinstance(target, Cluster) else client.cluster
    connection = Connection(client, is_ours, ClusterWorkers(SchedulerLine(client), cluster, tell_threads))
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            await connection.start()
    except BaseException:
        await connection.close()
        raise
    return connection


async def _new_client(target: Any) -> Any:
    """Return a client of this event loop: one that is made from a cluster object would use the loop of that."""
    address, security = target, None
    if isinstance(target, Cluster):
        address, security = target.scheduler_address, getattr(target, "security", None)
    try:
        if isinstance(address, str) and address.startswith(_PLAIN_TCP) and security is None:
            # A client that finds nobody leaves coroutines behind that nobody awaits.
            open_once: Any = connect_to
            (await open_once(address, timeout=_ANSWER_SECONDS)).abort()
        make_client: Any = Client
        return await make_client(
            address, asynchronous=True, set_as_default=False, timeout=_ANSWER_SECONDS, security=security
        )
    except (OSError, ValueError) as error:
        problem = f"nobody answers as a Dask scheduler ({error}); {_REMEDY}"
        raise ClusterGoneError(str(address), problem) from None


_REMEDY = (
    "check that `dask scheduler` runs there, that the port is the one of its log, 8786 unless it says otherwise, "
    "and that this machine can reach it"
)

_PLAIN_TCP = "tcp://"

_ANSWER_SECONDS = 3.0
"""How long a scheduler may take to answer."""
