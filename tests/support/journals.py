"""Journals as others might write them: around a store's own, to watch what is written and to let it fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Changes, Fact, Head, Journal, Kind, Loaded
from cascade.spec import StoreError
from cascade.spec.durable import FactLabel, RunStatus

FRAME = FrameDigest(0, b"f" * 16, b"")
BEGUN = Changes(anew=True, head=Head(RunStatus.RUNNING, "task", b"record", 0))
"""The first batch of a run."""


def fact(number: int, value: bytes = b"value", frame: FrameDigest = FRAME) -> Fact:
    """Return the value of a node of a frame, the node of this number."""
    label = FactLabel("task", f"root.args.{number}")
    return Fact(NodeDigest(frame, b"%016d" % number), Kind.RESULT, value, label)


Written = Callable[[Changes], object]


class BlankJournal:
    """Keeps nothing and takes no time: a run on it is recorded like any other, without a store and its thread."""

    async def open(self, anew: bool = False) -> Loaded | None:
        return None

    async def write(self, changes: Changes) -> None:
        pass

    async def close(self) -> None:
        pass


class WatchedJournal:
    """Tells of each batch before it is written and when it has been."""

    def __init__(self, journal: Journal, begins: Written | None = None, ends: Written | None = None) -> None:
        self._journal = journal
        self._begins = begins
        self._ends = ends

    async def open(self, anew: bool = False) -> Loaded | None:
        return await self._journal.open(anew)

    async def write(self, changes: Changes) -> None:
        if self._begins is not None:
            self._begins(changes)
        await self._journal.write(changes)
        if self._ends is not None:
            self._ends(changes)

    async def close(self) -> None:
        await self._journal.close()


class FailingJournal:
    """Fails at its nth call and, if `stays`, at all later ones; `after` the store has done it, or in its place.

    A call that closes lets go of the store all the same: nobody could take the run again else.
    """

    def __init__(self, journal: Journal, at: int, *, after: bool = False, stays: bool = False) -> None:
        self._journal = journal
        self._left = at
        self._after = after
        self._stays = stays

    def _fails(self) -> bool:
        self._left -= 1
        return self._left == 0 or (self._stays and self._left < 0)

    async def open(self, anew: bool = False) -> Loaded | None:
        fails = self._fails()
        if fails and not self._after:
            raise StoreError("failing", "connection lost")
        loaded = await self._journal.open(anew)
        if fails:
            raise StoreError("failing", "connection lost")
        return loaded

    async def write(self, changes: Changes) -> None:
        fails = self._fails()
        if not fails or self._after:
            await self._journal.write(changes)
        if fails:
            raise StoreError("failing", "connection lost")

    async def close(self) -> None:
        await self._journal.close()
        if self._fails():
            raise StoreError("failing", "connection lost")


class SilentJournal:
    """Never returns from its nth call, nor from any later one, unless it is cancelled.

    One that `stays` takes so many seconds for its nth call alone, and sees it through, as a thread would.
    """

    def __init__(self, journal: Journal, at: int, *, stays: float = 0.0) -> None:
        self._journal = journal
        self._left = at
        self._stays = stays

    async def _reach(self) -> None:
        self._left -= 1
        if self._left > 0 or (self._stays and self._left):
            return
        ends = asyncio.get_running_loop().time() + self._stays
        if not self._stays:
            await asyncio.Event().wait()
        while (left := ends - asyncio.get_running_loop().time()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)

    async def open(self, anew: bool = False) -> Loaded | None:
        return await self._journal.open(anew)

    async def write(self, changes: Changes) -> None:
        await self._reach()
        await self._journal.write(changes)

    async def close(self) -> None:
        try:
            await self._reach()
        finally:
            await self._journal.close()
