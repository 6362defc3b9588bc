"""What the runs that one process drives in a store share: a writer, and a keeper of their leases."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from weakref import WeakKeyDictionary

from cascade.adapters.server_lanes import Lane
from cascade.adapters.state.servers.grouped import Grouped
from cascade.adapters.state.servers.lease_keeper import LeaseKeeper
from cascade.adapters.state.servers.run_table import RunTable, ServerRun, Write
from cascade.adapters.state.timed_lease import TimedLease


class Shared:
    """What runs of one store share in one event loop."""

    def __init__(self, table: RunTable) -> None:
        self._table = table
        self._runs: dict[TimedLease, ServerRun] = {}
        self._keeper = LeaseKeeper(table.seconds, self._renew_all)
        self._releases: Grouped[ServerRun, None] = Grouped(self._release, self._release_all)
        self.writer: Grouped[Write, bytes | None] = Grouped(
            partial(table.write, lane=Lane.WRITES), table.write_all
        )

    def keep(self, lease: TimedLease, run: ServerRun) -> None:
        """Renew the lease of a run that has just been taken."""
        self._runs[lease] = run
        self._keeper.keep(lease)

    async def let_go(self, lease: TimedLease) -> None:
        """Renew it no more."""
        await self._keeper.let_go(lease)
        self._runs.pop(lease, None)

    async def release(self, run: ServerRun) -> None:
        """End the lease of a run.

        Raises:
            StoreError: If the store can't be asked.
        """
        await self._releases.do(run)

    async def _renew_all(self, leases: Sequence[TimedLease]) -> set[TimedLease]:
        renewed = await self._table.renew_all([self._runs[lease] for lease in leases])
        return {lease for lease in leases if self._runs.get(lease) in renewed}

    async def _release(self, run: ServerRun) -> None:
        await self._table.release_all([run])

    async def _release_all(self, runs: Sequence[ServerRun]) -> list[None]:
        await self._table.release_all(runs)
        return [None] * len(runs)


class RunsOfStore:
    """The runs of one store in a server, as this process drives them, in any event loop."""

    def __init__(self, table: RunTable) -> None:
        self.table = table
        self._shared: WeakKeyDictionary[asyncio.AbstractEventLoop, Shared] = WeakKeyDictionary()

    def shared(self) -> Shared:
        """Return what the runs of the running event loop share."""
        loop = asyncio.get_running_loop()
        found = self._shared.get(loop)
        if found is None:
            found = self._shared[loop] = Shared(self.table)
        return found
