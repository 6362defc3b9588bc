"""Calls on a Ray cluster, and on a Ray of one machine. Needs the extra `cascade-engine[ray]`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from cascade.adapters.executors.boundary_errors import WorkerDiedError
from cascade.spec.calls.error_text import add_note
from cascade.spec.errors import MissingExtraError

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

    from cascade.adapters.executors.ray_cluster.connections import RayConnection, Target
    from cascade.adapters.executors.ray_cluster.remains import remains_of
    from cascade.adapters.executors.ray_cluster.stayed_values import StayedValue
    from cascade.adapters.executors.ray_cluster.worker_journal import NAME_SIZE
    from cascade.adapters.executors.ray_cluster.worker_side import make_calls_on_ray
    from cascade.adapters.executors.remote_calls.remote_executor import (
        Answer,
        OnLost,
        ReferenceLostError,
        RemoteCalls,
        SentRequest,
    )
    from cascade.adapters.executors.remote_calls.sent_calls import DeadCall
except ModuleNotFoundError as problem:
    if (problem.name or "").partition(".")[0] not in ("cloudpickle", "ray"):
        raise
    raise MissingExtraError("RayExecutor", "ray") from None

_DEATHS = (LocalRayletDiedError, NodeDiedError, OutOfMemoryError, TaskCancelledError, WorkerCrashedError)
"""What Ray tells of a call whose worker has gone; also if somebody else has cancelled it."""

_RAY_WORDS = {"cpu": "num_cpus", "gpu": "num_gpus"}
"""The amounts of `with_constraints` that Ray has words of its own for."""

_FUNCTIONS_KEPT = 1024


class RayExecutor(RemoteCalls):
    """Has calls made by Ray.

    `address` is what `ray.init` takes: `ray://host:10001` for a cluster elsewhere, `host:6379` on a machine of the
    cluster. Without it, it is the one in `RAY_ADDRESS`, or a Ray of its own on this machine. If the program has
    initialised Ray already, that one is used, and not shut down.

    `runtime_env` tells Ray what its workers need: `{"working_dir": "."}` brings the modules of a folder to them.
    `on_lost="rerun"` has lost values computed again.
    """

    def __init__(
        self,
        address: str | None = None,
        on_lost: str | OnLost = OnLost.RAISE,
        runtime_env: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(on_lost)
        self._connection = RayConnection(Target(address, runtime_env))
        self._remote = ray.remote(num_returns=2, max_retries=0)(make_calls_on_ray)
        self._functions: dict[tuple[Any, ...], Any] = {}

    async def send(self, request: SentRequest) -> Answer:
        await self._open()
        name = os.urandom(NAME_SIZE)
        function = self._function(request.task.name, request.amounts)
        report, kept = function.remote(name, request.request, *request.references)
        waiting = asyncio.wrap_future(report.future())
        cancelled = await _until_done(waiting, lambda: ray.cancel(report, force=True))
        problem = waiting.exception()
        if problem is None:
            return Answer(waiting.result(), kept, cancelled)
        # Who never looks at the other result is told by Ray that an error was not handled.
        await _until_done(asyncio.wrap_future(kept.future()))
        if cancelled is not None:
            return await _cancelled(name, cancelled)
        failure = _failure(request, problem)
        if request.calls > 1 and isinstance(failure, WorkerDiedError):
            return await _died(name, failure)
        raise failure

    async def bring(self, reference: Any) -> object:
        try:
            value: StayedValue = await asyncio.wrap_future(reference.future())
        except ObjectLostError as error:
            raise ReferenceLostError([reference], _first_line(error)) from None
        return value.copied()

    async def close(self) -> None:
        """Let go of Ray, and shut it down if this executor has started it. It can be used again."""
        closed = self._connection.close()
        if closed is not None:
            await asyncio.shield(asyncio.wrap_future(closed))

    async def _open(self) -> None:
        opened = self._connection.opened()
        if opened is None or (opened.done() and opened.exception() is None):
            return
        try:
            await asyncio.shield(asyncio.wrap_future(opened))
        except Exception:
            self._connection.close()  # the next call tries again
            raise

    def _function(self, name: str, amounts: Mapping[str, float]) -> Any:
        key = (name, *amounts.items())
        function = self._functions.get(key)
        if function is None:
            while len(self._functions) >= _FUNCTIONS_KEPT:
                del self._functions[next(iter(self._functions))]
            function = self._functions[key] = self._remote.options(name=name, **_in_ray_words(amounts))
        return function


def _in_ray_words(amounts: Mapping[str, float]) -> dict[str, Any]:
    options: dict[str, Any] = {_RAY_WORDS[name]: each for name, each in amounts.items() if name in _RAY_WORDS}
    others = {name: each for name, each in amounts.items() if name not in _RAY_WORDS}
    return {**options, "resources": others} if others else options


async def _until_done(
    work: asyncio.Future[Any], stop: Callable[[], object] = lambda: None
) -> asyncio.CancelledError | None:
    """Wait until work has really ended; return the last cancellation that came meanwhile. `stop` is called at each."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as request:
            cancelled = request
            stop()
    work.exception()  # it has been looked at
    return cancelled


async def _cancelled(name: bytes, cancelled: asyncio.CancelledError) -> Answer:
    """Return what a request has come to whose worker is being killed, after that has ended."""
    asking = asyncio.ensure_future(remains_of(name))
    again = await _until_done(asking)
    remains = asking.result()
    if remains is None:
        raise again or cancelled
    return Answer(remains.report, None, again or cancelled)


async def _died(name: bytes, error: WorkerDiedError) -> Answer:
    """Return what the calls have come to whose worker has died: it is one of them that has failed.

    Raises:
        WorkerDiedError: If that can't be known, since the whole machine has gone.
    """
    asking = asyncio.ensure_future(remains_of(name))
    cancelled = await _until_done(asking)
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
    return error


def _is_named(reference: Any, lost: ObjectLostError) -> bool:
    return bool(reference.hex() == lost.object_ref_hex)


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
