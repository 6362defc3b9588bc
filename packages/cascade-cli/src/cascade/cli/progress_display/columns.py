"""Columns of texts that fit into a width: those that matter least are left out, and the first one is cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.text import Text

from cascade.spec.terminal_text import shown

_NARROWEST = 10
"""The first column is not cut to fewer characters before others are left out."""


class Column(NamedTuple):
    """A column: what stands on top, and its cells from the first row to the last.

    Of two columns the one of the lower `rank` is left out first; the first column always stays. It is aligned to the
    left, all others to the right.
    """

    head: str
    cells: Sequence[Text]
    rank: int = 0

    @property
    def width(self) -> int:
        """How many characters its widest cell takes."""
        return max([len(self.head), *(cell.cell_len for cell in self.cells)])

    @property
    def is_empty(self) -> bool:
        """Whether no cell says anything."""
        return not any(cell.plain for cell in self.cells)


def escaped(text: str, style: str = "") -> Text:
    """Return a text of the user's as it is shown: one line, with all spelt out that a terminal would obey or hide.

    Nothing in it is markup. All texts that come from users, such as names and errors, go through here.
    """
    return Text(shown(" ".join(text.split())), style)


def cut(text: Text, width: int) -> Text:
    """Return a text of at most so many characters; where some are left out, dots say so."""
    text = text.copy()
    text.truncate(max(width, 1), overflow="ellipsis")
    return text


def in_one_line(parts: Sequence[tuple[Text, int]], width: int) -> Text:
    """Return texts in one line no wider than `width`; where it is, those of the lowest ranks are left out."""
    kept = [part for part in parts if part[0].plain]
    while len(kept) > 1 and sum(text.cell_len + 3 for text, _ in kept) - 3 > width:
        kept.remove(min(kept, key=lambda part: part[1]))
    return cut(Text(" · ").join(text for text, _ in kept), width)


def side_by_side(columns: Sequence[Column], width: int) -> list[Text]:
    """Return the lines of a table with its heads that are no wider than `width`."""
    gap = 2 if width >= 60 else 1
    first, *others = columns
    kept = [column for column in others if not column.is_empty]
    needed = min(first.width, _NARROWEST)
    while kept and needed + sum(column.width + gap for column in kept) > width:
        kept.remove(min(kept, key=lambda column: column.rank))
    space = width - sum(column.width + gap for column in kept)
    name_width = max(1, min(first.width, space))
    lines = [_line(Text(first.head), [Text(column.head) for column in kept], name_width, kept, gap)]
    lines[0].stylize("dim")
    for row, name in enumerate(first.cells):
        lines.append(_line(name, [column.cells[row] for column in kept], name_width, kept, gap))
    return lines


def _line(name: Text, cells: Sequence[Text], name_width: int, kept: Sequence[Column], gap: int) -> Text:
    line = Text()  # without a style, which would be that of all cells
    line.append_text(cut(name, name_width))
    line.pad_right(name_width - line.cell_len)
    for cell, column in zip(cells, kept, strict=True):
        line.append(" " * (gap + column.width - cell.cell_len))
        line.append_text(cell)
    line.rstrip()
    return line
