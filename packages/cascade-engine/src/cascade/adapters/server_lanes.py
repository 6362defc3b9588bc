"""Lanes: how many deeds may be with a server at the same time, whoever asks for them.

Who waits for a place in a lane waits for others of this process, and not for the server: that takes as long as they
take. But a server that has stopped answering is told to all who wait for it, and not to one after the other.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from types import TracebackType

from cascade.adapters.patience import Patience
from cascade.adapters.server_errors import ANSWER_SECONDS, Errors


class Lane(Enum):
    """What a deed is for. Leases and writes wait for nothing else, so that no crowd of newcomers holds them up."""

    ANY = auto()
    WRITES = auto()
    LEASES = auto()


class Lanes:
    """The lanes of one event loop to one server: one deed at a time each, but so many for anything.

    `timeouts` are the errors of a client that say that the server does not answer.
    """

    def __init__(self, for_any: int, timeouts: Errors) -> None:
        self._places = {lane: asyncio.Semaphore(for_any if lane is Lane.ANY else 1) for lane in Lane}
        self.timeouts = timeouts
        self.silent_at = float("-inf")

    def place(self, lane: Lane) -> Place:
        """Lend a place in the returned block, and the patience with which to wait for the server.

        Entering it raises a `TimeoutError` if another one finds, meanwhile, that the server does not answer.
        """
        return Place(self, self._places[lane])


class Place:
    """A place in a lane, for one block."""

    # Once per write to a server: a class takes a third of the time of a generator.
    __slots__ = ("_lanes", "_patience", "_places")

    def __init__(self, lanes: Lanes, places: asyncio.Semaphore) -> None:
        self._lanes = lanes
        self._places = places

    async def __aenter__(self) -> Patience:
        asked = asyncio.get_running_loop().time()
        await self._places.acquire()
        if asked < self._lanes.silent_at:  # it would wait just as long, and for nothing
            self._places.release()
            raise TimeoutError
        self._patience = Patience(ANSWER_SECONDS)
        self._patience.begin()
        return self._patience

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, self._lanes.timeouts):
            self._lanes.silent_at = asyncio.get_running_loop().time()
        self._patience.end()
        self._places.release()
