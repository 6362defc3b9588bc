"""Commits: what a run puts into its store is written batch by batch, and what depends on it waits for that."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from cascade.adapters.spawning import spawn
from cascade.spec.durable import DurableStateBackend

Resumed = Callable[[], None]

MAX_UNCOMMITTED = 10_000
"""So many calls may have ended without being committed, unless a run is told otherwise.

With a tenth of that a run of short calls waits for its disk half of the time.
"""


class Commits:
    """The commits of one run, one at a time: the next one has all that was put while one was under way."""

    def __init__(
        self, state: DurableStateBackend, wake_up: Callable[[], None], max_uncommitted: int | None
    ) -> None:
        self._state = state
        self._wake_up = wake_up
        self._max_uncommitted = MAX_UNCOMMITTED if max_uncommitted is None else max_uncommitted
        self._held: list[Resumed] = []  # until the next commit has returned
        self._released: deque[Resumed] = deque()
        self._committing: asyncio.Task[None] | None = None
        self._dirty = False
        self._waiting: deque[asyncio.Future[None]] = deque()  # calls under way that wait for room
        self._ended = 0  # calls that have ended, and no commit that has them has returned
        self.error: BaseException | None = None

    def note_change(self) -> None:
        """Note that there is something to be committed."""
        self._dirty = True

    def note_ended(self) -> None:
        """Note that a call has ended, with something to be committed."""
        self._dirty = True
        self._ended += 1

    async def first(self) -> None:
        """Commit how the run begins.

        Raises:
            StoreError: If that fails.
        """
        self._dirty = False
        try:
            await self._state.commit()
        except BaseException as error:
            self.error = error  # nothing more is asked of a store that has failed
            raise

    @property
    def under_way(self) -> asyncio.Task[None] | None:
        """The commit that is under way, if one is."""
        return self._committing

    def take_released(self) -> Resumed | None:
        """Return the next of what was held back and may go on now.

        Raises:
            StoreError: If a commit has failed.
        """
        if self.error is not None:
            raise self.error
        return self._released.popleft() if self._released else None

    @property
    def room(self) -> int:
        """How many more calls may end before a commit has to return."""
        return self._max_uncommitted - self._ended

    async def make_room(self) -> None:
        """Wait, before a call that is under way is made, until so few have ended that one more may."""
        while self.room <= 0 and self.error is None:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            self._wake_up()  # there is something to commit
            await waiting

    def let_in(self) -> None:
        """Let as many calls that wait for room look again as there is room for."""
        for _ in range(min(len(self._waiting), self.room if self.error is None else len(self._waiting))):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def hold(self, resumed: Resumed) -> None:
        """Hold something back until all that was put so far is committed."""
        self._held.append(resumed)

    def begin_commit(self) -> None:
        """Commit what was put, unless that is under way: then the next commit has it."""
        if self._committing is None and self.error is None and (self._held or self._dirty):
            held, self._held = self._held, []
            self._dirty = False
            self._committing = spawn(self._commit(held, self._ended))

    async def _commit(self, held: list[Resumed], ended: int) -> None:
        try:
            await self._state.commit()
        except BaseException as error:  # noqa: BLE001 - raised in the run, which it ends
            self.error = error
        else:
            self._released.extend(held)
            self._ended -= ended
        finally:
            self._committing = None
            self.let_in()
            self._wake_up()

    async def settle(self) -> None:
        """Wait for the commit that is under way, if one is; it is never left half done."""
        cancelled: asyncio.CancelledError | None = None
        while self._committing is not None:
            try:
                await asyncio.wait([self._committing])
            except asyncio.CancelledError as request:
                cancelled = request
        if cancelled is not None:
            raise cancelled
