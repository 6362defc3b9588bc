"""Looks after requests that are out on a Dask cluster: nobody waits for one of which nothing will be heard."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from distributed import KilledWorker
from distributed.scheduler import NoValidWorkerError

from cascade.adapters.executors.boundary_errors import WorkerDiedError, WorkerLoadError
from cascade.adapters.executors.dask_cluster.dask_requests import make_request, withdraw
from cascade.adapters.executors.dask_cluster.gone_workers import remains_of
from cascade.adapters.executors.dask_cluster.scheduler_line import SchedulerLine
from cascade.adapters.executors.dask_cluster.sent_requests import Ended, GoneWorker, NotBegun, SentWork
from cascade.spec.calls.error_text import error_text

LOST_STATUSES = frozenset({"cancelled", "error", "lost"})
"""What Dask says of a future whose value is gone, or will never be there."""

_LOOK_SECONDS = 0.2
"""How often to look whether a request has ended without a report: its worker is gone, or a value that it needs."""

_LOOKS_AT_WORKERS = 10
"""After how many looks to ask which workers there are."""


class RequestWatch:
    """Looks after the requests of one connection; `waiting` are those, by their keys in Dask.

    As long as there is one, `look_at_workers` is called from time to time.
    """

    def __init__(self, line: SchedulerLine, look_at_workers: Callable[[], Awaitable[None]]) -> None:
        self.waiting: dict[str, SentWork] = {}
        self._line = line
        self._look_at_workers = look_at_workers
        self._watcher: asyncio.Task[None] | None = None
        self._inquiries: set[asyncio.Task[None]] = set()

    def hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take in what a worker or the scheduler tells of a request."""
        message = event[1]
        sent = self.waiting.get(message["key"])
        if sent is not None:
            sent.hear(message)

    def go_on(self) -> None:
        """Look until no request is out."""
        if self._watcher is None or self._watcher.done():
            self._watcher = asyncio.create_task(self._look())

    def withdraw(self, key: str, sent: SentWork) -> None:
        """Let a request end at once if it has not begun; otherwise it is waited for."""
        sent.is_withdrawn = True
        self._begin(self._inquire([key]), [key])

    async def close(self) -> None:
        """Look no more: whoever waits is told that the executor is closed."""
        ending = [*self._inquiries, *([] if self._watcher is None else [self._watcher])]
        for each in ending:
            each.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        for sent in self.waiting.values():
            sent.settle(self._line.gone("the executor is closed"))

    async def _look(self) -> None:
        try:
            for looks in itertools.count(1):
                await asyncio.sleep(_LOOK_SECONDS)
                if not self.waiting:
                    return
                self._line.check()
                self._look_into([*self.waiting.items()])
                if looks % _LOOKS_AT_WORKERS == 0:
                    await self._look_at_workers()
        except Exception as error:  # noqa: BLE001 - whatever Dask raises, nobody waits in vain
            self._give_up(self.waiting, error)

    def _give_up(self, keys: Iterable[str], error: Exception) -> None:
        for key in [*keys]:
            if key in self.waiting:
                self.waiting[key].settle(self._line.gone(error))

    def _look_into(self, waiting: Sequence[tuple[str, SentWork]]) -> None:
        """Find out what has become of requests that Dask has no work for any more."""
        odd = []
        for key, sent in waiting:
            if sent.is_looked_into or sent.work is None:
                continue
            status = sent.work.status
            if status == "error":
                self._begin(self._end_failed(key, sent), [key])
                continue
            if status == "finished":
                sent.finished_looks += 1
            if status in LOST_STATUSES or sent.finished_looks > 1 or sent.is_withdrawn:
                odd.append(key)
        if odd:
            self._begin(self._inquire(odd), odd)

    def _begin(self, work: Coroutine[Any, Any, None], keys: Sequence[str]) -> None:
        inquiry = asyncio.create_task(self._inquiry(work, keys))
        self._inquiries.add(inquiry)
        inquiry.add_done_callback(self._inquiries.discard)

    async def _inquiry(self, work: Coroutine[Any, Any, None], keys: Sequence[str]) -> None:
        asked = [self.waiting[key] for key in keys if key in self.waiting]
        for sent in asked:
            sent.is_looked_into = True
        try:
            await work
        except Exception as error:  # noqa: BLE001 - as above
            self._give_up(keys, error)
        finally:
            for sent in asked:
                sent.is_looked_into = False

    async def _inquire(self, keys: Sequence[str]) -> None:
        """Withdraw requests, and find out whether they have begun. Those that have are waited for."""
        workers = (await self._line.identity())["workers"]
        answers = await self._line.client.run(withdraw, keys, on_error="return")
        # Who can't be reached may have begun with them. Who has another problem lacks Cascade, and has not.
        found = {
            worker: answer if isinstance(answer, dict) else {}
            for worker, answer in answers.items()
            if not isinstance(answer, OSError)
        }
        asked = [(key, self.waiting[key]) for key in keys if key in self.waiting]
        await asyncio.gather(*(self._judge(key, sent, found, workers) for key, sent in asked))

    async def _judge(
        self, key: str, sent: SentWork, found: Mapping[str, Mapping[str, Any]], workers: Collection[str]
    ) -> None:
        """Conclude from what the workers have said: `found` has the answers, `workers` are all that were asked."""
        begun = {worker: ends[key] for worker, ends in found.items() if key in ends}
        end = next((each for each in begun.values() if each is not None), None)
        if end is not None:
            sent.settle(Ended(*end))  # its message was lost, or is on its way
        elif begun:
            sent.has_begun = True
        elif any(worker not in found for worker in workers):
            return  # one of them has not answered: all are asked again, until Dask takes it for dead
        elif sent.left is not None:
            sent.settle(await remains_of(self._line, key, sent.task, sent.left))
        elif sent.has_begun or sent.finished_looks:
            sent.settle(WorkerDiedError(sent.task, None))
        else:
            sent.settle(NotBegun.WITHDRAWN)

    async def _end_failed(self, key: str, sent: SentWork) -> None:
        """Settle a request that Dask has given up."""
        error = await sent.work.exception()
        if isinstance(error, NoValidWorkerError):
            sent.settle(self._line.gone(error))
        elif not isinstance(error, KilledWorker):
            sent.settle(WorkerLoadError(sent.task, make_request.__module__, error_text(error)))
        elif error.task == key:
            gone = GoneWorker(error.last_worker.host, error.last_worker.nanny)
            sent.settle(await remains_of(self._line, key, sent.task, gone))
        else:
            sent.settle(
                NotBegun.WITHDRAWN
            )  # its worker has died, but of another call: the one that gives it a value
