"""Endings: how a run ends, with a value or an error, and the failures that it went on after."""

from __future__ import annotations

from cascade.runtime.frames.inbox import Inbox
from cascade.runtime.resource_manager import note_others
from cascade.runtime.sharing.time_slice import TimeSlice
from cascade.spec.calls.error_text import is_error


class Ending:
    """How one run ends. Whatever ends it says so here, and nothing new begins then.

    `failures` are those that a run with `on_failure="finish"` goes on after. `lost` is what its resources were
    cancelled with, if they were: any other error says more than that.
    """

    __slots__ = ("_inbox", "_slice", "ended", "error", "failures", "lost", "value")

    def __init__(self, time_slice: TimeSlice, inbox: Inbox) -> None:
        self._slice = time_slice
        self._inbox = inbox
        self.ended = False
        self.value: object = None
        self.error: BaseException | None = None
        self.lost: BaseException | None = None
        self.failures: list[Exception] = []

    def succeed(self, value: object) -> None:
        """End the run with a value."""
        self.ended = True
        self.value = value

    def stop(self, error: BaseException) -> None:
        """End the run with an error; the first one counts."""
        if self.is_without_error:
            self.error = error
        self.ended = True

    def interrupt(self, error: BaseException) -> None:
        """End the run from outside of its own asyncio task, or from within a listener.

        What ends the program, and so is no `Exception`, counts for more than a failure that came before.
        """
        if self.error is not None and is_error(self.error, Exception) and not is_error(error, Exception):
            note_others(error, [self.error])
            self.error = None
        self.stop(error)
        self._slice.cut()
        self._inbox.wake_up()

    def lose(self, cancelled: BaseException) -> None:
        """End the run because its resources were cancelled while they were held."""
        self.lost = cancelled
        self.interrupt(cancelled)

    @property
    def is_without_error(self) -> bool:
        """Whether nothing has failed, or only the loss of resources is known so far."""
        return self.error is None or self.error is self.lost

    @property
    def last_failure(self) -> Exception:
        """The failure that came last, of those that the run goes on after."""
        return self.failures[-1]

    def let_go(self) -> None:
        """Drop the value and the errors: from now on only the caller of the run has them."""
        self.value = self.error = self.lost = None
        self.failures.clear()
