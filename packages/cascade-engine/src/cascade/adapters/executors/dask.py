"""Calls on a Dask cluster. Needs the extra `cascade-engine[dask]`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from cascade.adapters.addresses import address_of, check_place
from cascade.adapters.executors.boundary_errors import ClusterGoneError
from cascade.adapters.executors.worker_slots import WorkerSlots
from cascade.spec.errors import MissingExtraError, SpecError

try:
    from distributed import Client

    from cascade.adapters.executors.dask_cluster.dask_connection import Connection, connect
    from cascade.adapters.executors.remote_calls.other_loops import LoopEndedError, run_in
    from cascade.adapters.executors.remote_calls.remote_executor import (
        Answer,
        OnLost,
        RemoteCalls,
        SentRequest,
    )
    from cascade.adapters.executors.work_under_way import WorkUnderWay
except ModuleNotFoundError as problem:
    if (problem.name or "").partition(".")[0] not in ("cloudpickle", "dask", "distributed"):
        raise
    raise MissingExtraError("DaskExecutor", "dask") from None

T = TypeVar("T")


class DaskExecutor(RemoteCalls):
    """Has calls made by the workers of a Dask cluster.

    `target` is the address of the scheduler (`tcp://host:8786`, or `dask://host:8786`), a `Client`, or a cluster object
    such as `LocalCluster`. A client that is handed in stays open. Each call goes out once; what is retried, bounded and
    cached is for the engine to say. Dask can't interrupt a call: one that is cancelled while it runs is waited for.

    `on_lost="rerun"` has lost values computed again. `per_thread` is how many calls each thread of a worker is given at
    a time. With more than one a worker has the next call at hand, and an adaptive cluster sees that it may grow; when a
    worker dies, all that it was given fail.
    """

    def __init__(self, target: Any, *, on_lost: str | OnLost = OnLost.RAISE, per_thread: int = 1) -> None:
        super().__init__(on_lost)
        if isinstance(target, str) and not target:
            raise SpecError("DaskExecutor('')", "give the address of a scheduler, such as 'tcp://host:8786'")
        is_place = isinstance(target, str | Client)
        if not is_place and not isinstance(getattr(target, "scheduler_address", None), str):
            raise SpecError(
                f"DaskExecutor({target!r})", "give the address of a scheduler, a Client or a cluster"
            )
        if per_thread < 1:
            raise SpecError(f"per_thread={per_thread!r}", "give a number from 1 on")
        self._target = _checked(target) if isinstance(target, str) else target
        self._per_thread = per_thread
        self._slots = WorkerSlots(1)
        # One for each event loop: a client belongs to the loop that it was made in.
        self._open: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[_Lasting]] = WeakKeyDictionary()

    @asynccontextmanager
    async def room(self) -> AsyncGenerator[None, None]:
        """Wait until a thread of a worker is free, in the order of the runs."""
        await self._connection()  # it knows how many calls there is room for
        slot = await self._slots.take()
        try:
            yield
        finally:
            self._slots.give_back(slot)

    async def send(self, request: SentRequest) -> Answer:
        lasting = await self._lasting()
        with lasting.under_way:
            return await _in_loop_of(lasting.connection, lasting.connection.send(request))

    async def bring(self, reference: object) -> object:
        lasting = await self._lasting()
        with lasting.under_way:
            return await _in_loop_of(lasting.connection, lasting.connection.bring(reference))

    async def close(self) -> None:
        """Let go of the cluster, in this event loop, when the calls under way have ended.

        The executor can be used again, also meanwhile: it connects anew.
        """
        opened = self._open.pop(asyncio.get_running_loop(), None)
        if opened is None:
            return
        await asyncio.wait([opened])
        if not opened.cancelled() and opened.exception() is None:  # else nothing was opened
            await opened.result().close()

    async def _connection(self) -> Connection:
        return (await self._lasting()).connection

    async def _lasting(self) -> _Lasting:
        while True:
            lasting = await asyncio.shield(self._opened())
            if not lasting.is_closing:  # as it may be since it was opened
                return lasting

    def _opened(self) -> asyncio.Task[_Lasting]:
        loop = asyncio.get_running_loop()
        opened = self._open.get(loop)
        if opened is None or (opened.done() and (opened.cancelled() or opened.exception() is not None)):
            opened = self._open[loop] = loop.create_task(self._connect())
        elif opened.done() and opened.result().connection.is_over:
            opened = self._open[loop] = loop.create_task(self._connect_again(opened.result()))
        return opened

    async def _connect(self) -> _Lasting:
        client_loop = asyncio.get_running_loop()
        if isinstance(self._target, Client):
            client_loop = getattr(self._target.loop, "asyncio_loop")  # noqa: B009 - not known to type checkers
        try:
            connection = await run_in(client_loop, connect(self._target, self._have_threads))
        except LoopEndedError:
            raise ClusterGoneError(str(self._target), _LOOP_ENDED) from None
        return _Lasting(connection)

    async def _connect_again(self, lost: _Lasting) -> _Lasting:
        await lost.end()
        return await self._connect()

    def _have_threads(self, threads: int) -> None:
        self._slots.resize(max(1, threads * self._per_thread))


class _Lasting:
    """A connection that ends with the event loop in which it is used, if nobody closes it before.

    A loop that ends, as that of `asyncio.run` does, cancels the tasks that are left and waits for them.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.under_way = WorkUnderWay()
        self.is_closing = False
        self._life = asyncio.create_task(self._live())

    async def close(self) -> None:
        """Close the connection when nothing is under way any more; nothing new is to begin."""
        self.is_closing = True
        try:
            await self.under_way.ended()
        finally:
            await self.end()

    async def end(self) -> None:
        """Close the connection at once."""
        self._life.cancel()
        await asyncio.wait([self._life])

    async def _live(self) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            with suppress(LoopEndedError):  # then nothing is open any more
                await run_in(self.connection.loop, self.connection.close())


def _checked(address: str) -> str:
    """Return an address as Dask takes it. How those of other kinds than TCP are written, Dask knows."""
    scheme, has_scheme, _ = address.partition("://")
    if not has_scheme or scheme in _WITH_PORT:
        problem = f"DaskExecutor({address_of(address)!r}) is given no address of a scheduler"
        check_place(address, problem, "dask://host:8786 or tcp://host:8786")
    return f"tcp://{address.removeprefix(SCHEME)}" if address.startswith(SCHEME) else address


async def _in_loop_of(connection: Connection, work: Coroutine[Any, Any, T]) -> T:
    try:
        return await run_in(connection.loop, work)
    except LoopEndedError:
        raise ClusterGoneError(connection.address, _LOOP_ENDED) from None


_LOOP_ENDED = "the event loop of its client has ended"

SCHEME = "dask://"
"""What an address begins with where an executor is named by a word."""

_WITH_PORT = ("dask", "tcp", "tls")
