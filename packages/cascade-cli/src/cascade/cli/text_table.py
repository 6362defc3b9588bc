"""Tables as text: columns side by side, nothing cut, so that what is shown can be copied, and read by programs."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows with their columns aligned, as wide as a terminal shows them."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def shown(text: str) -> str:
    """Return a text from elsewhere with what a terminal would obey, or not show, spelt out."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape", "backslashreplace").decode()
        for each in text
    )
