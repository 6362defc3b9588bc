"""Commits: what a run puts into its store is written batch by batch, and what depends on it waits for that.

A run goes on with other calls while a commit is under way. What it puts meanwhile goes into the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from cascade.adapters.spawning import spawn
from cascade.runtime.recording.timeline_record import TimelineRecord
from cascade.spec.durable import DurableStateBackend

Resumed = Callable[[], None]
CommitSoon = Callable[[], "asyncio.Future[bool] | None"]

MAX_UNCOMMITTED = 10_000
"""The number of calls that may have ended without being committed, unless a run is given `max_uncommitted`.

With a tenth of it a run of short calls waits for its disk half of the time.
"""


class Commits:
    """The commits of one run, one at a time.

    `wake_up` is called when something has come about that the run has to look at. `error` is what a commit raised:
    nothing is asked of a store that has failed.
    """

    def __init__(
        self, state: DurableStateBackend, wake_up: Callable[[], None], max_uncommitted: int | None
    ) -> None:
        self._state = state
        self._commit_now: Callable[[], bool] | None = getattr(state, "commit_now", None)
        self._commit_soon: CommitSoon | None = getattr(state, "commit_soon", None)
        self._wake_up = wake_up
        self._max_uncommitted = MAX_UNCOMMITTED if max_uncommitted is None else max_uncommitted
        self._held: list[Resumed] = []  # what waits for the next commit
        self._released: deque[Resumed] = deque()
        self._committing: asyncio.Future[Any] | None = None
        self._dirty = False
        self._waiting: deque[asyncio.Future[None]] = deque()  # calls that wait for room before they are made
        self._ended = 0  # calls that have ended and are not committed
        self.error: BaseException | None = None
        self.timeline: TimelineRecord | None = None

    def ask(self) -> None:
        """Ask for a commit, soon."""
        self._dirty = True
        self._wake_up()

    def note_change(self) -> None:
        """Note that there is something to commit."""
        self._dirty = True

    def note_ended(self, calls: int = 1) -> None:
        """Note that so many calls have ended, and with them something to commit."""
        self._dirty = True
        self._ended += calls

    async def first(self) -> None:
        """Commit the record of the run, before its first call.

        Raises:
            StoreError: If that fails.
        """
        self._dirty = False
        try:
            await self._state.commit()
        except BaseException as error:
            self.error = error
            raise

    @property
    def under_way(self) -> asyncio.Future[Any] | None:
        """The commit that is under way, if there is one."""
        return self._committing

    def take_released(self) -> Resumed | None:
        """Return the next of what was held back and is committed now, to be called by the run.

        Raises:
            StoreError: If a commit has failed.
        """
        if self.error is not None:
            raise self.error
        return self._released.popleft() if self._released else None

    @property
    def room(self) -> int:
        """How many more calls may end before a commit must have returned."""
        return self._max_uncommitted - self._ended

    async def make_room(self) -> None:
        """Wait, before a call is made, until there is room for it."""
        while self.room <= 0 and self.error is None:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            self._wake_up()  # there is something to commit
            await waiting

    def let_in(self) -> None:
        """Wake as many calls that wait for room as there is room for; all of them if a commit has failed."""
        for _ in range(min(len(self._waiting), self.room if self.error is None else len(self._waiting))):
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(None)

    def hold(self, resumed: Resumed) -> None:
        """Hold something back until all that was put so far is committed."""
        self._held.append(resumed)

    def begin_commit(self) -> bool:
        """Begin a commit of what was put, unless one is under way: then the next one has it.

        Returns True if it has ended already, well or not.
        """
        if self._committing is not None or self.error is not None or not (self._held or self._dirty):
            return False
        held, self._held = self._held, []
        self._dirty = False
        if self.timeline is not None:
            self.timeline.before_commit()
        if self._commit_at_once(held):
            return True
        soon = None if self._commit_soon is None else self._commit_soon()
        if soon is None:
            self._committing = spawn(self._commit(held, self._ended))
        else:
            self._committing = soon
            soon.add_done_callback(partial(self._take_soon, held, self._ended))
        return False

    def _commit_at_once(self, held: list[Resumed]) -> bool:
        """Commit without a turn of the event loop, if the store can do that; return whether the commit has ended."""
        # Once per step of a recorded chain: watched by observatory/benchmarks/bench_durability.py.
        if self._commit_now is None:
            return False
        try:
            if not self._commit_now():
                return False
        except BaseException as error:  # noqa: BLE001 - raised in the run, which it ends
            self.error = error
        else:
            self._released.extend(held)
            self._ended = 0
        self.let_in()
        return True

    def _take_soon(self, held: list[Resumed], ended: int, soon: asyncio.Future[bool]) -> None:
        """Take in how a commit has ended that needed no task; if it is not known to be done, have it done."""
        error = soon.exception()
        if error is None and not soon.result():
            self._committing = spawn(self._commit(held, ended))
        else:
            self._end_commit(held, ended, error)

    async def _commit(self, held: list[Resumed], ended: int) -> None:
        problem: BaseException | None = None
        try:
            await self._state.commit()
        except BaseException as error:  # noqa: BLE001 - raised in the run, which it ends
            problem = error
        try:
            self._end_commit(held, ended, problem)
        finally:
            problem = None  # its traceback has this frame: they would be a cycle

    def _end_commit(self, held: list[Resumed], ended: int, error: BaseException | None) -> None:
        if error is None:
            self._released.extend(held)
            self._ended -= ended
        else:
            self.error = error
        self._committing = None
        self.let_in()
        self._wake_up()

    async def settle(self) -> None:
        """Wait for the commit that is under way, if one is, also if this is cancelled meanwhile."""
        cancelled: asyncio.CancelledError | None = None
        while self._committing is not None:
            try:
                await asyncio.wait([self._committing])
            except asyncio.CancelledError as request:
                cancelled = request
        if cancelled is not None:
            raise cancelled
