"""Showing: where the progress of a run is shown. The entry point of `cascade.progress`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from functools import partial

from cascade.cli.progress_display.notebook import NotebookCanvas, is_notebook
from cascade.cli.progress_display.plain import PlainCanvas, Say
from cascade.cli.progress_display.refresher import Canvas, Refresher
from cascade.cli.progress_display.terminal import TerminalCanvas, is_terminal
from cascade.runtime.progress.displays import Display, ReadProgress
from cascade.runtime.progress.run_progress import RunProgress

_lock = threading.Lock()
_drawn_on: tuple[object, Refresher] | None = None
"""What is drawn on, and what draws there: runs that are shown at the same time share it."""


def show_progress(read: ReadProgress) -> Callable[[], None]:
    """Show a run in the notebook or the terminal that this is, or by plain lines on stderr; a `Display`."""
    return display_by(_say)(read)


def display_by(say: Say, *, least: float = 0.0, only_lines: bool = False) -> Display:
    """Return a display that uses this function where it can't draw lines over again, or is to have `only_lines`.

    Of runs that took less than `least` seconds nothing is said there.
    """

    def show(read: ReadProgress, /) -> Callable[[], None]:
        stream = sys.stderr
        if not only_lines and is_notebook():
            return _shared("notebook", lambda refresher: NotebookCanvas()).show(read)
        if not only_lines and stream is not None and is_terminal(stream):
            return _shared(stream, partial(TerminalCanvas, stream)).show(read)
        return Refresher(lambda refresher: PlainCanvas(say, least)).show(read)

    return show


def leave_terminal() -> None:
    """Put the terminal in order, if something is drawn on it: the program ends at once."""
    if _drawn_on is not None:
        _, refresher = _drawn_on
        refresher.leave(_PATIENCE)


_PATIENCE = 0.2


def _shared(place: object, make: Callable[[Refresher], Canvas]) -> Refresher:
    global _drawn_on
    with _lock:
        if _drawn_on is None or _drawn_on[0] is not place:
            _drawn_on = place, Refresher(make)
        return _drawn_on[1]


def _say(lines: Sequence[str], progress: RunProgress) -> None:
    if sys.stderr is not None:
        print(*lines, sep="\n", file=sys.stderr, flush=True)  # noqa: T201 - what it is for
