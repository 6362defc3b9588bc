"""Interrupts: what Ctrl-C and SIGTERM do to a command.

The first signal cancels the run, which then ends in order; a line says which calls that waits for. The second one
ends the program at once. Only commands do so: `cs.run` leaves the signals of its program alone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

from cascade.cli.progress_display.showing import leave_terminal

_WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}

_SHOWN = 3
"""The most names of calls in that line."""

Names = Callable[[], list[str]]
"""Gives the names of the calls that are under way."""


class Interrupts:
    """Handles the signals during a `with` block, and puts the old handlers back at its end.

    `going_on` says how to go on with the run later, `say` writes a line. `received` is the signal that came first, or
    `None`.
    """

    def __init__(self, going_on: str, say: Callable[[str], None]) -> None:
        self.received: signal.Signals | None = None
        self._going_on = going_on
        self._say = say
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[Any] | None = None
        self._names: Names = list
        self._before: dict[signal.Signals, Any] = {}
        self._waking: tuple[socket.socket, socket.socket] | None = None
        self._woken_before = -1

    @property
    def exit_code(self) -> int:
        """The exit code of a program that a signal has ended: 128 and the number of the signal."""
        return 128 + (self.received or signal.SIGINT)

    def watch(self, names: Names) -> None:
        """Let the first signal cancel the asyncio task that calls this; `names` gives the calls that are under way."""
        self._loop, self._work, self._names = asyncio.get_running_loop(), asyncio.current_task(), names
        if self._before and sys.platform != "win32":  # on Windows asyncio's own loop does this
            self._let_signals_wake(self._loop)

    def _let_signals_wake(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let a signal wake the loop.

        Python calls a handler between two steps of the main thread. If the main thread is about to wait for events, or
        another thread gets the signal, the handler would not be called before the next event. So Python also writes a
        byte to a socket that the loop reads.
        """
        reading, writing = self._waking = socket.socketpair()
        for each in self._waking:
            each.setblocking(False)
        loop.add_reader(reading, reading.recv, 4096)
        self._woken_before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # Python lets no other one set handlers
            for number in _WORDS:
                before = signal.getsignal(number)
                if before not in (signal.SIG_IGN, None):  # a program in the background ignores Ctrl-C
                    self._before[number] = before
                    signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self._waking is not None:
            signal.set_wakeup_fd(self._woken_before)
            for each in self._waking:
                each.close()
        for number, before in self._before.items():
            signal.signal(number, before)

    def _take(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal. Python calls this between two steps of whatever the main thread does."""
        if self.received is not None:
            _end_now(128 + number)
        self.received = signal.Signals(number)
        try:
            self._say(self._line())
        except (
            RuntimeError
        ):  # the main thread was in the middle of writing to the same stream, which is not reentrant
            os.write(2, self._line().encode("utf-8", "replace") + b"\n")
        if self._loop is None or self._work is None or self._work.done():
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._work.cancel)

    def _line(self) -> str:
        names = [repr(name) for name in dict.fromkeys(self._names())]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        waited = ", ".join(names[:_SHOWN]) + more if names else "what is under way"
        word = _WORDS[self.received or signal.SIGINT]
        return f"{word}: waiting for {waited} to end (Ctrl-C again ends at once); {self._going_on}"


def _end_now(code: int) -> None:
    """End the program without waiting for anything; its worker processes notice that it is gone, and end."""
    leave_terminal()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001 - closed, or in the middle of writing
            continue
    os._exit(code)
