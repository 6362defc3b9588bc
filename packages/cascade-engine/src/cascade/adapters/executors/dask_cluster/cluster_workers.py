"""The workers of a Dask cluster, as far as calls depend on them: their threads, and the amounts that they declare."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from distributed import SpecCluster

from cascade.adapters.executors.boundary_errors import WorkerAmountError
from cascade.adapters.executors.dask_cluster.scheduler_line import SchedulerLine
from cascade.adapters.executors.dask_cluster.sent_requests import SentWork
from cascade.adapters.executors.remote_calls.worker_offers import WorkerOffers, listed

_logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 5.0
"""How long a call waits for a worker that nobody has seen before somebody is told."""


class ClusterWorkers:
    """The workers of one cluster. `tell_threads` is told how many threads they have.

    `cluster` is Dask's object that stands for the cluster, if this process has it.
    """

    def __init__(self, line: SchedulerLine, cluster: object, tell_threads: Callable[[int], None]) -> None:
        self.line = line
        self._cluster: Any = cluster
        self._tell_threads = tell_threads
        self._offers = WorkerOffers()
        self._count = 0
        self._told: set[str] = set()

    async def look(self) -> None:
        """Look which workers there are."""
        workers = (await self.line.identity())["workers"].values()
        self._count = len(workers)
        self._offers.note(worker["resources"] for worker in workers)
        self._tell_threads(sum(worker["nthreads"] for worker in workers))

    async def counted(self, task: str, amounts: Mapping[str, float]) -> Mapping[str, float]:
        """Return the amounts of a call that Dask counts, too: those that workers declare.

        Raises:
            WorkerAmountError: If no worker has them, and none will come by itself.
        """
        counted = self._offers.counted(amounts)
        if counted and not self._offers.have(counted):
            await self.look()
            if not self._offers.have(counted) and self._is_complete():
                raise WorkerAmountError(task, listed(counted), str(self._offers))
        return counted

    def warn(self, waiting: Iterable[SentWork]) -> None:
        """Say which calls wait for a worker that is not there: it may come, or never."""
        latest = time.monotonic() - _PATIENCE_SECONDS
        for sent in waiting:
            if sent.sent_at > latest:
                continue
            if not self._count:
                self._tell(f"task '{sent.task}' waits: the cluster at {self.line.address} has no worker")
            elif not self._offers.have(sent.amounts):
                self._tell(
                    f"task '{sent.task}' waits for a worker that has {listed(sent.amounts)}; those of the cluster at "
                    f"{self.line.address} have: {self._offers}"
                )

    def _tell(self, problem: str) -> None:
        if problem not in self._told:
            self._told.add(problem)
            _logger.warning(problem)

    def _is_complete(self) -> bool:
        """Tell whether all workers are there that the cluster is to have, as far as that can be known here."""
        cluster = self._cluster
        if not isinstance(cluster, SpecCluster) or getattr(cluster, "_adaptive", None) is not None:
            return False
        return self._count >= len(cluster.worker_spec)
