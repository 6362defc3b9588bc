"""Calls on a Ray cluster, and on a Ray of one machine. Needs the extra `cascade-engine[ray]`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import Any
from weakref import WeakSet

from cascade.adapters.executors.boundary_errors import ClusterGoneError, WorkerDiedError, WorkerLoadError
from cascade.adapters.executors.call_places import CallPlace, Home, Interruption
from cascade.adapters.executors.worker_slots import WorkerSlot, WorkerSlots
from cascade.adapters.travelling.what_travels import travelling_in_context
from cascade.spec.calls.error_text import add_note
from cascade.spec.errors import MissingExtraError, SpecError

try:
    import ray
    from ray.exceptions import (
        LocalRayletDiedError,
        NodeDiedError,
        ObjectLostError,
        OutOfMemoryError,
        RayTaskError,
        TaskCancelledError,
        WorkerCrashedError,
    )

    from cascade.adapters.executors.ray_cluster.connections import RayConnection, leave
    from cascade.adapters.executors.ray_cluster.remains import remains_of
    from cascade.adapters.executors.ray_cluster.resource_release import release_resources
    from cascade.adapters.executors.ray_cluster.session import KeptReference, Session, Target
    from cascade.adapters.executors.ray_cluster.stayed_values import StayedValue
    from cascade.adapters.executors.ray_cluster.worker_side import make_calls_on_ray
    from cascade.adapters.executors.remote_calls.remote_executor import (
        Answer,
        OnLost,
        ReferenceLostError,
        RemoteCalls,
        SentRequest,
    )
    from cascade.adapters.executors.remote_calls.sent_calls import DeadCall
    from cascade.adapters.executors.remote_calls.worker_journal import NAME_SIZE
    from cascade.adapters.executors.work_under_way import WorkUnderWay
except ModuleNotFoundError as problem:
    if (problem.name or "").partition(".")[0] not in ("cloudpickle", "ray"):
        raise
    raise MissingExtraError("RayExecutor", "ray") from None

_DEATHS = (LocalRayletDiedError, NodeDiedError, OutOfMemoryError, TaskCancelledError, WorkerCrashedError)
"""What Ray tells of a call whose worker has gone; also if somebody else has cancelled it."""

_RAY_WORDS = {"cpu": "num_cpus", "gpu": "num_gpus"}
"""The amounts of `with_constraints` that Ray has words of its own for."""

_FUNCTIONS_KEPT = 1024

_LOOK_SECONDS = 5.0
"""How often to look what the cluster has."""

_FRESH_SECONDS = 0.1
"""How old a look may be by which a request is sent: a look takes as long as a tenth of a short call."""

_STORED_SIZE = 50_000
"""Less than what Ray keeps in its store of a request. It ends a process that uses the store when the raylet has died:
so somebody looks immediately before that."""

_LOST_WITH_CLUSTER = "the connection to its cluster was lost"


class _Users:
    """The executors of this program that have calls made and are not closed: their workers may be the same.

    `have_opened` says that workers have opened resources for them.
    """

    def __init__(self) -> None:
        self.open: WeakSet[RayExecutor] = WeakSet()
        self.have_opened = False


_users = _Users()


class RayExecutor(RemoteCalls):
    """Has calls made by Ray.

    `address` is what `ray.init` takes: `ray://host:10001` for a cluster elsewhere, `host:6379` on a machine of the
    cluster. Without it, it is the one in `RAY_ADDRESS`, or a Ray of its own on this machine. If the program has
    initialised Ray already, that one is used, and not shut down.

    `on_lost="rerun"` has lost values computed again. `runtime_env` tells Ray what its workers need:
    `{"working_dir": "."}` brings the modules of a folder to them. `per_cpu` is how many calls Ray is given at a time
    for each processor of the cluster. With more than one, a cluster that grows by itself sees that there is work; but
    then the time of a call, and its timeout, begin before it has got its worker.
    """

    place_there = CallPlace(Home.CLUSTER, Interruption.ENDS, Interruption.ENDS)

    def __init__(
        self,
        address: str | None = None,
        on_lost: str | OnLost = OnLost.RAISE,
        runtime_env: Mapping[str, Any] | None = None,
        per_cpu: int = 1,
    ) -> None:
        super().__init__(on_lost)
        if address is not None and not address:
            raise SpecError("RayExecutor('')", "give an address such as 'ray://host:10001', or none")
        if per_cpu < 1:
            raise SpecError(f"per_cpu={per_cpu!r}", "give a number from 1 on")
        target = Target(address, runtime_env)
        target.check()
        self._connection = RayConnection(target)
        self._per_cpu = per_cpu
        self._under_way = WorkUnderWay()
        self._slots = WorkerSlots(1)
        self._session: Session | None = None
        self._looked = 0.0
        self._known: frozenset[str] = frozenset()
        self._remote = ray.remote(num_returns=2, max_retries=0)(make_calls_on_ray)
        self._functions: dict[tuple[Any, ...], Any] = {}

    def room(self) -> AbstractAsyncContextManager[object]:
        """Wait until a processor of the cluster is free, in the order of the runs."""
        return _Room(self)

    async def take_slot(self) -> WorkerSlot:
        """Wait until the cluster has room for a call."""
        with self._under_way:
            await self._know_resources()
        return await self._slots.take()

    async def _know_resources(self) -> None:
        session = await self._open()
        if session is not self._session:
            self._session = session
            self._take_in(session.resources)
        elif time.monotonic() > self._looked + _LOOK_SECONDS:
            self._looked = time.monotonic()  # others who come meanwhile do not look too
            resources: Callable[[], Mapping[str, float]] = ray.cluster_resources
            self._take_in(await session.ask(resources))

    def give_back(self, slot: WorkerSlot) -> None:
        """Note that a call is over."""
        self._slots.give_back(slot)

    async def send(self, request: SentRequest) -> Answer:
        with self._under_way:
            return await self._send_once(request)

    async def _send_once(self, request: SentRequest) -> Answer:
        session = await self._open(0.0 if len(request.request) > _STORED_SIZE else _FRESH_SECONDS)
        lost = [each for each in request.references if _kept(each).session is not session]
        if lost:
            raise ReferenceLostError(lost, _LOST_WITH_CLUSTER)
        _users.open.add(self)
        _users.have_opened |= bool(travelling_in_context.get().resource_modules)
        name = os.urandom(NAME_SIZE)
        function = self._function(request.task.name, request.amounts)
        names = [_kept(each).name for each in request.references]
        report, kept = function.remote(name, request.request, *names)
        waiting = asyncio.wrap_future(report.future())
        try:
            cancelled = await _until_done(session, waiting, partial(ray.cancel, report, force=True))
            problem = waiting.exception()
            if problem is None:
                return Answer(waiting.result(), session.kept(kept), cancelled)
            # Who never looks at the other result is told by Ray that an error was not handled.
            await _until_done(session, asyncio.wrap_future(kept.future()))
        finally:
            del names, report, kept, waiting  # a traceback has this frame: they would outlive their session
        if cancelled is not None:
            return await _cancelled(session, name, cancelled)
        failure = _failure(request, problem)
        if isinstance(failure, WorkerDiedError):
            await session.check(age=0.0)  # the worker may have died with its cluster
            if request.calls > 1:
                return await _died(session, name, failure)
        raise failure

    async def bring(self, reference: object) -> object:
        with self._under_way:
            return await self._brought(reference)

    async def _brought(self, reference: object) -> object:
        kept = _kept(reference)
        session = await self._open(0.0)
        if kept.session is not session:
            raise ReferenceLostError([reference], _LOST_WITH_CLUSTER)
        waiting = asyncio.wrap_future(kept.name.future())
        try:
            await session.until_done(waiting)
            value: StayedValue = waiting.result()
        except ObjectLostError as error:
            raise ReferenceLostError([reference], _first_line(error)) from None
        except ClusterGoneError as error:
            raise ReferenceLostError([reference], error.problem) from None
        return value.copied()

    async def close(self) -> None:
        """Let go of Ray when the calls under way have ended, and shut it down if this executor has started it.

        It can be used again, also meanwhile. The last executor of the program has its workers release what they have
        opened.
        """
        under_way, self._under_way = self._under_way, WorkUnderWay()
        session = self._connection.set_free()
        if session is None:
            _users.open.discard(self)
            return
        try:
            await under_way.ended()
        finally:
            await self._leave(session)

    async def _leave(self, session: Session) -> None:
        if self._connection.is_free:  # else it is in use again
            _users.open.discard(self)
        if _users.have_opened and not _users.open:
            _users.have_opened = False
            if session.was_open and not session.is_over:
                with suppress(ClusterGoneError):  # its workers have ended with it
                    await release_resources(session)
        await leave(session)

    async def _open(self, age: float = _FRESH_SECONDS) -> Session:
        """Return the session to use: a new one if its Ray has gone, as of a look that is at most `age` seconds old."""
        for is_last in (False, True):
            session = self._connection.session()
            try:
                await session.open()
                await session.check(age)
            except ClusterGoneError:
                if is_last or not session.was_open:
                    raise
            else:
                break
        return session

    def _take_in(self, resources: Mapping[str, float]) -> None:
        """Take in what the cluster has."""
        self._looked = time.monotonic()
        if frozenset(resources) != self._known:
            self._known = frozenset(resources)
            self._functions.clear()
        self._slots.resize(max(1, int(resources.get("CPU", 1) * self._per_cpu)))

    def _function(self, name: str, amounts: Mapping[str, float]) -> Any:
        key = (name, *amounts.items())
        function = self._functions.get(key)
        if function is None:
            while len(self._functions) >= _FUNCTIONS_KEPT:
                del self._functions[next(iter(self._functions))]
            options = _in_ray_words(amounts, self._known)
            function = self._functions[key] = self._remote.options(name=name, **options)
        return function


class _Room:
    """Holds room for a call in a `with` block."""

    # No generator with a decorator, which sets the traceback of what passes through: a frozen exception refuses that.

    __slots__ = ("_executor", "_slot")

    def __init__(self, executor: RayExecutor) -> None:
        self._executor = executor

    async def __aenter__(self) -> object:
        self._slot = await self._executor.take_slot()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._executor.give_back(self._slot)


def _in_ray_words(amounts: Mapping[str, float], known: frozenset[str]) -> dict[str, Any]:
    """Return amounts as options of a Ray task. What no machine of the cluster has is for the engine alone to count."""
    options: dict[str, Any] = {_RAY_WORDS[name]: each for name, each in amounts.items() if name in _RAY_WORDS}
    others = {name: each for name, each in amounts.items() if name in known}
    return {**options, "resources": others} if others else options


async def _until_done(
    session: Session, work: asyncio.Future[Any], stop: Callable[[], object] = lambda: None
) -> asyncio.CancelledError | None:
    """Wait until work has really ended; return the last cancellation that came meanwhile. `stop` is called at each.

    Raises:
        ClusterGoneError: If Ray has gone meanwhile, and the work with it; the cancellation if one came.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await session.until_done(work)
        except asyncio.CancelledError as request:
            cancelled = request
            stop()
        except ClusterGoneError:
            if cancelled is not None:
                raise cancelled from None
            raise
    work.exception()  # it has been looked at
    return cancelled


async def _cancelled(session: Session, name: bytes, cancelled: asyncio.CancelledError) -> Answer:
    """Return what a request has come to whose worker is being killed, after that has ended."""
    asking = asyncio.ensure_future(remains_of(session, name))
    try:
        again = await _until_done(session, asking)
        remains = asking.result()
    except ClusterGoneError:
        raise cancelled from None
    if remains is None:
        raise again or cancelled
    return Answer(remains.report, None, again or cancelled)


async def _died(session: Session, name: bytes, error: WorkerDiedError) -> Answer:
    """Return what the calls have come to whose worker has died: it is one of them that has failed.

    Raises:
        WorkerDiedError: If that can't be known, since the whole machine has gone.
    """
    asking = asyncio.ensure_future(remains_of(session, name))
    cancelled = await _until_done(session, asking)
    remains = asking.result()
    if remains is None:
        raise error
    return Answer(remains.report, None, cancelled, DeadCall(remains.under_way, error))


def _failure(request: SentRequest, error: BaseException) -> BaseException:
    """Return what an error of Ray's means for a request."""
    found = error.cause if isinstance(error, RayTaskError) else error
    if isinstance(found, ObjectLostError):
        lost = [each for each in request.references if _is_named(each, found)]
        return ReferenceLostError(lost, _first_line(found))
    if isinstance(error, _DEATHS):
        died = WorkerDiedError(request.task.name, None)
        add_note(died, f"Ray: {_first_line(error)}")
        return died
    if isinstance(error, RayTaskError) and isinstance(found, (ImportError, RuntimeError)):
        # What a task raises comes another way: this worker has no Cascade, or another version of it.
        problem = f"{type(found).__name__}: {_first_line(found)}"
        return WorkerLoadError(request.task.name, make_calls_on_ray.__module__, problem)
    return error


def _is_named(reference: object, lost: ObjectLostError) -> bool:
    return bool(_kept(reference).name.hex() == lost.object_ref_hex)


def _kept(reference: object) -> KeptReference:
    assert isinstance(reference, KeptReference)
    return reference


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
