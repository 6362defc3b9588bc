"""Lanes: how many deeds may be with a server at the same time, whoever asks for them.

Who waits for a place in a lane waits for others of this process, and not for the server: that takes as long as they
take. But a server that has stopped answering is told to all who wait for it, and not to one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import Enum, auto

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
        self._timeouts = timeouts
        self._silent_at = float("-inf")

    @asynccontextmanager
    async def place(self, lane: Lane) -> AsyncIterator[Patience]:
        """Lend a place, and the patience with which to wait for the server.

        Raises:
            TimeoutError: If another one finds, meanwhile, that the server does not answer.
        """
        clock = asyncio.get_running_loop().time
        asked = clock()
        async with self._places[lane]:
            if asked < self._silent_at:  # it would wait just as long, and for nothing
                raise TimeoutError
            patience = Patience(ANSWER_SECONDS)
            patience.begin()
            try:
                yield patience
            except self._timeouts:
                self._silent_at = clock()
                raise
            finally:
                patience.end()
