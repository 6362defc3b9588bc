"""What a kind of server does for runs: one at a time, or for many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from cascade.adapters.server_lanes import Lane
from cascade.adapters.state.journal import Changes, Loaded
from cascade.adapters.state.timed_lease import Refusal
from cascade.spec.errors import StoreError
from cascade.spec.late_dataclasses import dataclass


@dataclass(slots=True, eq=False)
class ServerRun:
    """A run as its driver knows it. `holder` is in whose name it has the lease.

    `is_there` tells whether the server has a row of it, and `asks_disk` whether its writes wait for the server's disk,
    as far as is known.
    """

    run_id: str
    holder: bytes
    is_there: bool = False
    asks_disk: bool = False


class Write(NamedTuple):
    """A batch of one run. With `renews` it renews the lease, and notes when the run was written last; it may always."""

    run: ServerRun
    changes: Changes
    renews: bool = True


Written = bytes | StoreError | None
"""What became of a batch: `None` if it was written, the owner that its run has now, or what went wrong with it."""


class RunTable(Protocol):
    """The runs of one store in a server. Each method raises a `StoreError` if the server can't be asked.

    `store` is the address of the server, `seconds` how long a lease lasts.
    """

    store: str
    seconds: float

    async def prepare(self) -> None:
        """Make what a store needs, if it is not there."""

    async def take(self, run: ServerRun) -> Refusal | None:
        """Take the lease and become the owner, or tell who holds it."""

    async def renew(self, run: ServerRun) -> bytes | None:
        """Renew the lease, also one that has ended, if the holder is the owner still; if not, return the owner."""

    async def renew_all(self, runs: Sequence[ServerRun]) -> set[ServerRun]:
        """Renew leases at once; return the runs whose lease is renewed for sure."""

    async def release_all(self, runs: Sequence[ServerRun]) -> None:
        """End leases that their holders hold; nothing is left of a run that has no data."""

    async def read(self, run: ServerRun) -> Loaded | None:
        """Return what is stored of a run; `None` if nothing is."""

    async def write(self, write: Write, lane: Lane) -> bytes | None:
        """Write a batch; if its run has another owner, return that one."""

    def write_soon(self, write: Write) -> asyncio.Future[bool] | None:
        """Begin to write a batch now, without a task; `None` if that is not possible, and nothing is begun.

        The future tells whether it is written; if not, `write` finds out why, or writes it.
        """

    async def write_all(self, writes: Sequence[Write]) -> list[Written]:
        """Write batches of different runs; one that can't be written keeps no other one from it."""

    async def close(self) -> None:
        """Close the connections of the running event loop."""
