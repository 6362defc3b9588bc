"""Text tables: columns side by side, as wide as the terminal.

Only columns that the caller names are broken into lines. Ids are not, so that they can be copied.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from textwrap import wrap

from rich.cells import cell_len

_GAP = "  "
_NARROWEST = 12
"""The width that a column keeps when it is broken into lines."""


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns aligned, however wide they are."""
    widths = _widths(rows)
    lines = (
        _GAP.join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def fitted_table(
    head: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    drop: Sequence[str] = (),
    broken: Collection[str] = (),
    show_head: bool = True,
) -> str:
    """Return a table that fits the terminal, as far as it can.

    If it is too wide, the columns in `drop` are left out, the first one first. If that is not enough, the cells of the
    columns in `broken` go on in further lines.
    """
    space = terminal_width()
    kept = [*range(len(head))]
    table = [head, *rows]
    for name in drop:
        if _total(_widths(table)) <= space:
            break
        index = [head[column] for column in kept].index(name)
        del kept[index]
        table = [[row[column] for column in kept] for row in (head, *rows)]
    widths = _broken_widths([head[column] for column in kept], _widths(table), broken, space)
    return text_table([line for row in table[not show_head :] for line in _lines(row, widths)])


def terminal_width() -> int:
    """Return how many characters a line of the terminal takes; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(cell_len, column)) for column in zip(*rows, strict=True)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _broken_widths(names: Sequence[str], widths: list[int], broken: Collection[str], space: int) -> list[int]:
    """Return the widths of the columns; those in `broken` are made smaller, the widest one first, until all fit."""
    found = list(widths)
    while (excess := _total(found) - space) > 0:
        candidates = [
            index for index, name in enumerate(names) if name in broken and found[index] > _NARROWEST
        ]
        if not candidates:
            break
        widest = max(candidates, key=lambda index: found[index])
        others = [found[index] for index in candidates if index != widest]
        found[widest] = max(_NARROWEST, min(found[widest] - 1, max([found[widest] - excess, *others])))
    return found


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """Return the lines of one row: a cell that is wider than its column goes on in the next line."""
    cells = [
        [cell] if cell_len(cell) <= width else wrap(cell, width // (1 + (cell_len(cell) > len(cell)))) or [""]
        for cell, width in zip(row, widths, strict=True)
    ]
    height = max(map(len, cells))
    return [[cell[line] if line < len(cell) else "" for cell in cells] for line in range(height)]
