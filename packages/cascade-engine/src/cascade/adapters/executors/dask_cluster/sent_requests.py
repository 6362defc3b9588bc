"""Requests that are out on a Dask cluster, and what can come of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple, TypeAlias


class NotBegun(Enum):
    """Why no call of a request has begun, and none will.

    WITHDRAWN: it was cancelled, or a value that it needs is gone. WORKER_GONE: its worker died before it came to it.
    """

    WITHDRAWN = "withdrawn"
    WORKER_GONE = "worker gone"


class Ended(NamedTuple):
    """What has come of a request: its report, which has to be fetched if it is empty, and whether a value stays.

    `under_way` is the position of the call with which its worker has died.
    """

    report: bytes
    stays: bool
    under_way: int | None = None


class GoneWorker(NamedTuple):
    """A worker that has died or left: its host, and the address of its nanny if it had one."""

    host: str
    nanny: str | None


Outcome: TypeAlias = Ended | NotBegun | BaseException


class SentWork:
    """A request that is out; `work` is its future in Dask.

    `left` is the worker that was removed while it had the request. `has_begun` says that a worker has begun with it.
    """

    __slots__ = (
        "amounts",
        "finished_looks",
        "has_begun",
        "is_looked_into",
        "is_withdrawn",
        "left",
        "outcome",
        "sent_at",
        "task",
        "wake",
        "work",
    )

    def __init__(self, task: str, amounts: Mapping[str, float]) -> None:
        self.task = task
        self.amounts = amounts
        self.sent_at = time.monotonic()
        self.outcome: Outcome | None = None
        self.wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.work: Any = None
        self.has_begun = False
        self.left: GoneWorker | None = None
        self.finished_looks = 0
        self.is_looked_into = False
        self.is_withdrawn = False

    def settle(self, outcome: Outcome) -> None:
        """Note what has come of the request; the first word counts."""
        # Not as the result of the future: one that is being cancelled just now would lose it.
        if self.outcome is None:
            self.outcome = outcome
        if not self.wake.done():
            self.wake.set_result(None)

    def hear(self, message: Mapping[str, Any]) -> None:
        """Take in what a worker or the scheduler tells."""
        if "left" in message:
            self.left = GoneWorker(*message["left"])
        else:
            self.settle(Ended(message["report"], message["stays"]))
