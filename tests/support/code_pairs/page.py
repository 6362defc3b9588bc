"""The table of kinds in `docs/explanation/cache-keys.md`, made from the pairs.

`python -m support.code_pairs.page`, with `tests` on the path, writes it into the page.
"""

from __future__ import annotations

from pathlib import Path

from support.code_pairs import Row, rows

PAGE = Path(__file__).parents[3] / "docs/explanation/cache-keys.md"
BEGIN = "<!-- Made from the pairs in tests/support/code_pairs. -->\n"
END = "<!-- The end of what is made. -->\n"


def table() -> str:
    """Return the table, what is seen first."""
    lines = ["| what changes | seen | example |", "| --- | --- | --- |"]
    lines += map(_line, sorted(rows(), key=lambda row: not row.is_seen))
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    return f"| {row.what} | {'yes' if row.is_seen else 'no'} | {row.example} |"


def shown() -> str:
    """Return the table that the page has."""
    return PAGE.read_text(encoding="utf-8").partition(BEGIN)[2].partition(END)[0].strip() + "\n"


def write() -> None:
    """Put the table into the page."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table()}\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
