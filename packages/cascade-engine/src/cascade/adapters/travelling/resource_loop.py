"""The event loop of a worker process in which asynchronous resources live: they outlive the calls that use them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

_END_SECONDS = 5.0
"""What asyncio tasks that a resource has left behind may take to end."""


class ResourceLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cascade-resources", daemon=True)
        self._thread.start()

    def done(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Bring some work to its end in the loop, in a copy of this context; return its value or raise what it does."""
        succeeded, result = asyncio.run_coroutine_threadsafe(_outcome(work), self._loop).result()
        if succeeded:
            return result
        try:
            raise result
        finally:
            del result  # its traceback has this frame: they would be a cycle

    def close(self) -> None:
        """End the loop, and what is left in it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:  # ends what is left
            runner.get_loop().run_forever()


async def _outcome(work: Coroutine[Any, Any, Any]) -> tuple[bool, Any]:
    """Return what comes of some work; an exit that it raises would end the loop."""
    try:
        return True, await work
    except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
        return False, error
