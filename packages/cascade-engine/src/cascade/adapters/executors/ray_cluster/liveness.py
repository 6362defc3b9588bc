"""Whether a Ray is still there. When its processes have gone, Ray itself lets calls wait without end.

So whoever waits looks from time to time whether they still listen. A process that is killed stops listening at once.
"""

from __future__ import annotations

import asyncio
import errno
import math
import time
from collections.abc import Sequence
from typing import NamedTuple

LOOK_SECONDS = 0.5
"""How often to look while something is waited for."""

_ANSWER_SECONDS = 5.0
_SILENCE_SECONDS = 30.0
"""How long a machine may say nothing at all: it may be very busy, or its network may have a fault that passes."""

_NOBODY_THERE = (errno.ECONNREFUSED, errno.ECONNRESET, None)  # none: several addresses, each with an error
_OUR_OWN_SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Door(NamedTuple):
    """Where a process of Ray listens. `patience` is how many seconds it may be away: it may be started again."""

    process: str
    host: str
    port: int
    patience: float = 0.0


class Liveness:
    """Knows what has become of a Ray, by its doors. `problem` says why it is gone, `None` as long as it is there.

    `was_there` says whether somebody has listened there before.
    """

    def __init__(self, doors: Sequence[Door], was_there: bool = True) -> None:
        self.problem: str | None = None
        self._doors = doors
        self._nobody = "nobody listens any more" if was_there else "nobody listens"
        self._away: dict[Door, float] = {}
        self._looked = -math.inf

    async def look(self, age: float = LOOK_SECONDS) -> str | None:
        """Return `problem`, as of a look that is at most `age` seconds old."""
        now = time.monotonic()
        if self.problem is None and now >= self._looked + age:
            self._looked = now  # others who ask meanwhile do not look too
            for door in self._doors:
                self._note(door, await _silence(door))
        return self.problem

    def _note(self, door: Door, silence: float | None) -> None:
        now = time.monotonic()
        if silence is None:
            self._away.pop(door, None)
        elif now >= self._away.setdefault(door, now) + max(silence, door.patience):
            self.problem = f"{self._nobody} as its {door.process}, at {door.host}:{door.port}"


async def _silence(door: Door) -> float | None:
    """Knock at a door. Return `None` if somebody is there, else how long that may go on until nobody is."""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            _, writer = await asyncio.open_connection(door.host, door.port)
    except TimeoutError:
        return _SILENCE_SECONDS
    except OSError as error:
        if error.errno in _OUR_OWN_SHORTAGE:
            return None  # that says nothing of Ray
        return 0.0 if error.errno in _NOBODY_THERE else _SILENCE_SECONDS
    writer.transport.abort()
    return None
