"""Progress in a cell of a notebook, which is drawn over again."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.text import Text

from cascade.cli.progress_display.progress_lines import progress_lines
from cascade.cli.progress_display.refresher import ShownRun
from cascade.cli.progress_display.summary_lines import summary_lines

WIDTH = 110
_HEIGHT = 30
_MOST_TASKS = 20
_FRAME = (
    '<pre style="white-space:pre;overflow-x:auto;line-height:normal;margin:0;'
    "font-family:Menlo,'DejaVu Sans Mono',consolas,'Courier New',monospace\">{code}</pre>"
)
"""Without colours of its own for plain text, so that it is readable on light and on dark."""


def is_notebook() -> bool:
    """Tell whether the code runs in a notebook, without importing anything that it has not."""
    ipython = sys.modules.get("IPython")
    get_ipython = getattr(ipython, "get_ipython", None)
    shell = None if get_ipython is None else get_ipython()
    return getattr(shell, "kernel", None) is not None


class NotebookCanvas:
    """Draws in the cell that runs when the first run begins. Each run has a place of its own there."""

    interval = 0.25

    def __init__(self) -> None:
        self._handles: dict[ShownRun, Any] = {}

    def open(self) -> None:
        """Do nothing: nothing stands here before there is something to say."""

    def draw(self, runs: Sequence[ShownRun]) -> None:
        """Draw how far these runs have come."""
        for run in runs:
            self._show(run, progress_lines(run.look(), run.pace, WIDTH, _HEIGHT))

    def finish(self, run: ShownRun, others: Sequence[ShownRun]) -> None:
        """Draw the summary of a run in its place."""
        self._show(run, summary_lines(run.look(), WIDTH, _MOST_TASKS))
        self._handles.pop(run, None)

    def close(self) -> None:
        """Do nothing: what is drawn stays."""

    def _show(self, run: ShownRun, lines: list[Text]) -> None:
        bundle = {"text/plain": "\n".join(line.plain for line in lines), "text/html": html_of(lines)}
        handle = self._handles.get(run)
        if handle is not None:
            handle.update(bundle, raw=True)
            return
        from IPython.display import display  # noqa: PLC0415 - is there: this is a notebook

        self._handles[run] = display(bundle, raw=True, display_id=True)


def html_of(lines: list[Text]) -> str:
    """Return lines as HTML in which all texts stand for themselves."""
    console = Console(
        file=io.StringIO(),
        record=True,
        width=WIDTH,
        force_terminal=True,
        force_jupyter=False,
        highlight=False,
    )
    console.print(Group(*lines), soft_wrap=True)
    return console.export_html(inline_styles=True, code_format=_FRAME)
