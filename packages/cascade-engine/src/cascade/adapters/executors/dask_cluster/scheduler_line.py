"""The line to a Dask scheduler: whether it stands, and what the scheduler says of its cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from cascade.adapters.executors.boundary_errors import ClusterGoneError
from cascade.spec.calls.error_text import error_text

LOST = "the connection to it is lost"

SILENCE_SECONDS = 300.0
"""How long a scheduler may take to answer a question. Dask itself gives up a worker after that time."""


class SchedulerLine:
    """The line of one client to its scheduler."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self._comm: Any = client.scheduler_comm

    @property
    def address(self) -> str:
        """The address of the scheduler."""
        return str(getattr(self.client.scheduler, "address", "the scheduler"))

    @property
    def is_open(self) -> bool:
        """Whether requests can be sent.

        A client that has found its scheduler again is another line: nobody there guards calls, or tells of them.
        """
        is_same = self.client.scheduler_comm is self._comm
        return self.client.status == "running" and is_same and not self._comm.closed()

    @property
    def is_over(self) -> bool:
        """Whether there should be another one: it is lost, and its client does not look for the scheduler just now."""
        status = self.client.status
        return status == "closed" or (self.client.scheduler_comm is not self._comm and status != "connecting")

    def check(self) -> None:
        """Raise a `ClusterGoneError` if the line is lost."""
        if not self.is_open:
            raise self.gone(LOST)

    def gone(self, problem: str | BaseException) -> ClusterGoneError:
        """Return the error of who can't use the cluster any more."""
        if isinstance(problem, BaseException):
            problem = error_text(problem) if self.is_open else LOST
        return ClusterGoneError(self.address, problem)

    async def identity(self) -> Mapping[str, Any]:
        """Return what the scheduler says of itself and its workers.

        Raises:
            TimeoutError: If it does not answer.
        """
        async with asyncio.timeout(SILENCE_SECONDS):
            known: Mapping[str, Any] = await self.client.scheduler.identity(n_workers=-1)
            return known
