"""Lanes: how many deeds may be with a server at the same time, whoever asks for them.

Who waits for a place in a lane waits for others of this process, and not for the server: that takes as long as they
take. But a server that has stopped answering is told to all who wait for it, and not to one after the other.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
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

    def place_now(self, lane: Lane) -> Place | None:
        """Return a place that is free and taken now, until its `end` is called; `None` if none is free."""
        places = self._places[lane]
        if places.locked():
            return None
        with suppress(StopIteration):
            places.acquire().send(None)  # one is free, so this does not wait
        place = Place(self, places)
        place.begin()
        return place


class Place:
    """A place in a lane, for one block."""

    # Once per write to a server: a class takes a third of the time of a generator.
    __slots__ = ("_lanes", "_places", "patience")

    def __init__(self, lanes: Lanes, places: asyncio.Semaphore) -> None:
        self._lanes = lanes
        self._places = places

    async def __aenter__(self) -> Patience:
        asked = asyncio.get_running_loop().time()
        await self._places.acquire()
        if asked < self._lanes.silent_at:  # it would wait just as long, and for nothing
            self._places.release()
            raise TimeoutError
        self.begin()
        return self.patience

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end(error)

    def begin(self) -> None:
        """Begin to wait for the server."""
        self.patience = Patience(ANSWER_SECONDS)
        self.patience.begin()

    def end(self, error: BaseException | None) -> None:
        """Give the place back."""
        if isinstance(error, self._lanes.timeouts):
            self._lanes.silent_at = asyncio.get_running_loop().time()
        self.patience.end()
        self._places.release()
