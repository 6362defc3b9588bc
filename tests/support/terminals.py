"""Terminals: a pseudo-terminal of some size, and what its screen shows of what is written to it."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

import pyte


class Terminal:
    """A terminal with a screen. `raw` has the bytes that were written to it."""

    def __init__(self, columns: int = 80, lines: int = 24, *, has_size: bool = True) -> None:
        self.columns = columns
        self.raw = b""
        self._screen = pyte.HistoryScreen(columns, lines, history=100_000)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._own, self.other_side = os.openpty()
        size = (lines, columns) if has_size else (0, 0)
        fcntl.ioctl(self.other_side, termios.TIOCSWINSZ, struct.pack("HHHH", *size, 0, 0))
        self._opened: list[TextIO] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def open(self) -> TextIO:
        """Return a stream that writes to the terminal."""
        stream = os.fdopen(os.dup(self.other_side), "w", encoding="utf-8", buffering=1)
        self._opened.append(stream)
        return stream

    def screen(self) -> list[str]:
        """Return the lines that the screen shows now."""
        with self._lock:
            return _trimmed(self._screen.display)

    def everything(self) -> list[str]:
        """Return the lines that have left the screen at its top, and those that it shows."""
        with self._lock:
            gone = ["".join(line[at].data for at in range(self.columns)) for line in self._screen.history.top]
            return _trimmed([*gone, *self._screen.display])

    def wait_for(self, holds: Callable[[list[str]], object], seconds: float = 60.0) -> list[str]:
        """Wait until something holds of the screen; return it."""
        ends = time.monotonic() + seconds
        while not holds(shown := self.screen()):
            if time.monotonic() > ends:
                raise AssertionError("\n".join(["the screen never came to show it:", *shown]))
            time.sleep(0.01)
        return shown

    def close(self) -> list[str]:
        """Close the terminal; return `everything`."""
        for stream in self._opened:
            with suppress(OSError):
                stream.close()
        os.close(self.other_side)
        self._reader.join()
        os.close(self._own)
        return self.everything()

    def _read(self) -> None:
        with suppress(OSError):  # so it ends when nobody has the other side open any more
            while came := os.read(self._own, 65536):
                with self._lock:
                    self.raw += came
                    self._stream.feed(came)


def _trimmed(lines: list[str]) -> list[str]:
    found = [line.rstrip() for line in lines]
    while found and not found[-1]:
        found.pop()
    return found
