"""Progress in a terminal: lines that are drawn over again, below what tasks write there."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from typing import IO, TextIO, cast

from rich.console import Console, ConsoleDimensions, ConsoleOptions, Group
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from cascade.cli.progress_display.held_output import HeldOutput
from cascade.cli.progress_display.progress_lines import progress_lines
from cascade.cli.progress_display.refresher import Refresher, ShownRun
from cascade.cli.progress_display.summary_lines import summary_lines

INTERVAL = 0.1
"""So many seconds lie between two drawings, and before the first one: shorter runs are only summed up."""

_MOST_TASKS = 20
"""A summary lists so many tasks."""


class TerminalCanvas:
    """Draws on the terminal that `stream` is.

    What is written to that terminal meanwhile stands above the drawing. A stream that goes elsewhere is left alone.
    """

    interval = INTERVAL

    def __init__(self, stream: TextIO, refresher: Refresher) -> None:
        self._stream = stream
        self._refresher = refresher
        self._began = time.monotonic()
        self._console = _Console(file=cast("IO[str]", _Direct(stream)), force_terminal=True, highlight=False)
        self._live: Live | None = None
        self._held: HeldOutput | None = None

    def open(self) -> None:
        """Look at what is written to the terminal from now on."""
        self._held = held = HeldOutput(self._refresher.wake, self._refresher.draw_now)
        for stream in (sys.stdout, sys.stderr, self._stream):
            if stream is not None and is_same_terminal(stream, self._stream):
                held.watch(stream)

    def draw(self, runs: Sequence[ShownRun]) -> None:
        """Draw how far these runs have come."""
        if not runs:
            return
        width, height = self._measure()
        share = max(3, (height - 2) // len(runs))
        lines: list[Text] = []
        for run in runs:
            lines += progress_lines(run.look(), run.pace, width, share)
        self._show(lines[: max(1, height - 2)])

    def finish(self, run: ShownRun, others: Sequence[ShownRun]) -> None:
        """Write the summary of a run, above the others that go on."""
        self.draw(others)
        width, _ = self._measure()
        self._console.print(Group(*summary_lines(run.look(), width, _MOST_TASKS)), soft_wrap=True)

    def close(self) -> None:
        """Erase the drawing, and let the streams write by themselves again."""
        live, self._live, held, self._held = self._live, None, self._held, None
        if held is not None:
            held.release()
        if live is not None:
            self._write_held("" if held is None else held.take_all())
            live.stop()

    def _measure(self) -> tuple[int, int]:
        """Return how many columns and lines may be filled, and tell the console; a terminal may not know."""
        width, height = _size_of(self._stream)
        self._console.size = ConsoleDimensions(width, height)
        return max(1, width - 1), height

    def _show(self, lines: list[Text]) -> None:
        drawing = Group(*lines)
        if self._live is None:
            self._open(drawing)
        assert self._live is not None
        with self._console:  # all in one write
            self._write_held()
            self._live.update(drawing, refresh=True)

    def _open(self, drawing: Group) -> None:
        if self._held is None:
            self.open()
        assert self._held is not None
        self._held.begin()
        # `HeldOutput` does what Rich would do to `sys.stdout` and `sys.stderr`, and `Refresher` what its thread does.
        self._live = Live(
            drawing,
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )
        self._live.start()

    def _write_held(self, text: str = "") -> None:
        """Write what is held above the drawing."""
        text = text or ("" if self._held is None else self._held.take())
        if text:
            self._console.print(_Verbatim(text), soft_wrap=True, end="")


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a stream is a terminal on which lines can be drawn over again."""
    try:
        return (
            stream is not None
            and stream.isatty()
            and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")
        )
    except ValueError:  # it is closed
        return False


def is_same_terminal(one: TextIO, other: TextIO) -> bool:
    """Tell whether two streams go to the same terminal."""
    try:
        return one is other or (
            one.isatty() and other.isatty() and os.path.sameopenfile(one.fileno(), other.fileno())
        )
    except (OSError, ValueError):  # no file, or closed
        return False


def _size_of(stream: TextIO) -> tuple[int, int]:
    """Return how many columns and lines a terminal has; what `COLUMNS` and `LINES` say if it does not know."""
    try:
        width, height = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        width = height = 0
    if width > 0 and height > 0:
        return width, height
    guessed = shutil.get_terminal_size((80, 24))
    return width or guessed.columns, height or guessed.lines


class _Console(Console):
    """A console that leaves the cursor as it is: a program that is killed must not leave it hidden."""

    def show_cursor(self, show: bool = True) -> bool:
        return False


class _Direct:
    """Writes to a stream past what holds it."""

    def __init__(self, stream: TextIO) -> None:
        self._write = stream.write
        self.flush = stream.flush
        self.fileno = stream.fileno
        self.isatty = stream.isatty
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        """Write a text, and all that is not shown of characters that the terminal has not."""
        try:
            return self._write(text)
        except UnicodeEncodeError:
            return self._write(text.encode(self.encoding, "replace").decode(self.encoding))


class _Verbatim:
    """A text that is written as it is, terminal codes and all: tasks may colour what they print."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        if self._text:
            yield Segment(self._text)
