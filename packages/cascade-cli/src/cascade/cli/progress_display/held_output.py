"""Held output: what is written to a terminal while something is drawn there, so that it doesn't tear the drawing.

The `write` of a stream itself is replaced, and not `sys.stdout`: handlers of `logging` and others have kept the stream.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import TextIO

MOST_HELD = 100_000
"""Of more characters than this whoever writes waits until they are drawn: a terminal may be slow."""


class HeldOutput:
    """Passes on whole lines, or holds them until somebody takes them; the beginning of a line is kept until its end.

    Each thread has a line of its own, so that no line is mixed up of two. It passes on before it holds, so that no line
    begins at the terminal and ends here.

    `wake` is called when there are lines; `drain` when there are too many, and is to take them.
    """

    def __init__(self, wake: Callable[[], None], drain: Callable[[], None]) -> None:
        self._wake = wake
        self._drain = drain
        self._lock = threading.RLock()  # the handler of a signal may write in the middle of a write
        self._lines: list[str] = []
        self._size = 0
        self._begun: dict[tuple[int, int], str] = {}
        self._held: dict[int, tuple[TextIO, object, Callable[[str], int]]] = {}
        self._is_holding = False
        self._process = os.getpid()

    def watch(self, stream: TextIO) -> None:
        """Pass on what is written to a stream from now on, if it can be held later."""
        if id(stream) in self._held or not hasattr(stream, "__dict__"):
            return
        stream.flush()
        write = stream.write
        self._held[id(stream)] = stream, vars(stream).get("write"), write
        vars(stream)["write"] = partial(self._write, id(stream), write)

    def begin(self) -> None:
        """Hold lines from now on."""
        with self._lock:
            for stream, _, _ in self._held.values():
                stream.flush()
            self._is_holding = True

    def release(self) -> None:
        """Let all streams write by themselves again."""
        with self._lock:
            for stream, before, write in self._held.values():
                if before is None:
                    vars(stream).pop("write", None)
                else:
                    vars(stream)["write"] = before
                if not self._is_holding:
                    for line in [each for each in self._begun if each[0] == id(stream)]:
                        write(self._begun.pop(line))
            self._held.clear()

    def take(self) -> str:
        """Return the lines that are held, and hold them no more."""
        with self._lock:
            text = "".join(self._lines)
            self._lines.clear()
            self._size = 0
        return text

    def take_all(self) -> str:
        """Return the lines that are held and those that have begun, each with an end."""
        with self._lock:
            begun = "".join(f"{text}\n" for text in self._begun.values())
            self._begun.clear()
            return self.take() + begun

    def _write(self, number: int, write: Callable[[str], int], text: str) -> int:
        if os.getpid() != self._process:  # a fork has copied the streams, and nobody would take its lines
            return write(text)
        line = number, threading.get_ident()
        with self._lock:
            whole = self._begun.pop(line, "") + text
            lines, end, rest = whole.rpartition("\n")
            if rest:
                self._begun[line] = rest
            if end and not self._is_holding:
                write(lines + end)
                return len(text)
            if end:
                self._lines.append(lines + end)
                self._size += len(lines) + 1
        if end:
            self._wake()
            if self._size > MOST_HELD:
                self._drain()
        return len(text)
