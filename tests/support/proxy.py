"""A proxy before a server, which loses the connection at one call: for a moment, or for as long as it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from enum import Enum
from types import TracebackType
from urllib.parse import urlsplit

from support.loops import now


class Fault(Enum):
    """What becomes of a call, as the client sees it."""

    UNSENT = "the connection is lost before the server has it"
    UNTOLD = "the connection is lost after the server has done it"
    SILENT = "the server has done it, and no answer comes"


class Proxy:
    """Hands calls to a server and answers back. The call of number `at` meets a fault, and with `stays` all later ones.

    Calls are counted over all connections, a pipeline as one. `failed_at` is when the first one met its
    fault, by the clock of the loop.
    """

    def __init__(self, url: str, at: int, fault: Fault, stays: bool) -> None:
        self._server = urlsplit(url)
        self._at = at
        self._fault = fault
        self._stays = stays
        self._connections: set[asyncio.Task[None]] = set()
        self.calls = 0
        self.failed_at: float | None = None
        self.url = ""

    async def __aenter__(self) -> Proxy:
        self._listening = await asyncio.start_server(self._begin, "127.0.0.1", 0)
        port = self._listening.sockets[0].getsockname()[1]
        user, at, _ = self._server.netloc.rpartition("@")
        self.url = self._server._replace(netloc=f"{user}{at}127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listening.close()
        for each in self._connections:
            each.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection of a client by one of its own to the server."""
        answers, calls = await asyncio.open_connection(self._server.hostname, self._server.port)
        try:
            with suppress(ConnectionError):
                await self._exchange(reader, writer, answers, calls)
        finally:
            writer.close()
            calls.close()

    async def _exchange(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: asyncio.StreamReader,
        calls: asyncio.StreamWriter,
    ) -> None:
        """Hand over one call after the other: a client sends the next when it has the answer to the last."""
        listening: asyncio.Task[None] | None = None
        try:
            while call := await reader.read(1 << 20):
                if listening is None or listening.done():
                    listening = asyncio.ensure_future(_hand_over(answers, writer))
                self.calls += 1
                fails = self.calls == self._at or (self._stays and self.calls > self._at)
                if fails:
                    self.failed_at = self.failed_at or now()
                    listening.cancel()
                    await asyncio.wait([listening])
                    if self._fault is Fault.UNSENT:
                        return
                calls.write(call)
                if fails:
                    await answers.read(1)
                    if self._fault is Fault.SILENT:
                        await reader.read()
                    return
        finally:
            if listening is not None:
                listening.cancel()


async def _hand_over(answers: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while answer := await answers.read(1 << 20):
            writer.write(answer)
