"""What is left of a request whose worker has died or left: asked for on the machine of that worker."""

from __future__ import annotations

import asyncio

from cascade.adapters.executors.boundary_errors import WorkerDiedError
from cascade.adapters.executors.dask_cluster.dask_requests import find_journal, journal_name
from cascade.adapters.executors.dask_cluster.scheduler_line import SchedulerLine
from cascade.adapters.executors.dask_cluster.sent_requests import Ended, GoneWorker, NotBegun, Outcome

_LOOK_SECONDS = 0.2

_LOOKS = 150
"""How often to look for a worker on the machine of one that died: that long it may take to start again."""

_LOOKS_WITHOUT_NANNY = 10
"""The same if nobody starts it again: only a worker that is there already can know something."""


async def remains_of(line: SchedulerLine, key: str, task: str, gone: GoneWorker) -> Outcome:
    """Ask other workers at the address of one what it has left.

    They may have a file system of their own, as containers have. So who knows of nothing tells only then that no call
    has begun if it is started by the same nanny, which has to start it first. What is uncertain counts as begun.
    """
    name = journal_name(key)
    for _ in range(_LOOKS if gone.nanny else _LOOKS_WITHOUT_NANNY):
        known = await line.identity()
        near = {
            worker: facts["nanny"] for worker, facts in known["workers"].items() if facts["host"] == gone.host
        }
        found = {}
        if near:
            found = await line.client.run(find_journal, name, workers=[*near], on_error="ignore")
        for remains in found.values():
            if remains is not None:
                return Ended(remains.report, stays=False, under_way=remains.under_way)
        if gone.nanny and any(near[worker] == gone.nanny for worker in found):
            return NotBegun.WORKER_GONE
        await asyncio.sleep(_LOOK_SECONDS)
    return WorkerDiedError(task, None)
