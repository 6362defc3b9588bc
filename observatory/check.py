"""`python -m observatory.check [part of a name ...] [--times 1.5]`: is a ratio worse than that in `docs/benchmarks`?

Measures again, in this process, each ratio to the limit that stands in the table there. Exits with 1 if one is more
than so many times worse. A row that looks worse is measured a second time: a shared machine stops for moments.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from observatory.judging import HEAD
from observatory.rows.row import Row, Settings
from observatory.rows.table import ROWS, chosen

README = Path(__file__).parents[1] / "docs" / "benchmarks" / "README.md"

NAME, RATIO = HEAD.index("row"), HEAD.index("ratio")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One ratio, as it is told in the repository and as it is now."""

    row: str
    told: float
    now: float

    @property
    def times(self) -> float:
        """How many times as large it is now."""
        return self.now / self.told


def told_ratios(page: str) -> dict[str, float]:
    """Return the ratios of the table in a page, by row; a ratio to nothing is none."""
    found = {}
    for line in page.splitlines():
        columns = [cell.strip() for cell in line.strip("|").split("|")]
        if len(columns) == len(HEAD) and (ratio := number(columns[RATIO])) is not None:
            found[columns[NAME]] = ratio
    return found


def number(text: str) -> float | None:
    """Return the ratio that a cell shows; `None` for what is no ratio."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


async def verdicts(rows: Sequence[Row], settings: Settings, times: float) -> list[Verdict]:
    """Measure each row that has a ratio, and once more where it looks worse; the better of both counts."""
    told = told_ratios(README.read_text(encoding="utf-8"))
    found = []
    for row in rows:
        if row.name not in told:
            continue
        now = math.inf
        for _ in range(2):
            reading = await row.measure(row.size, settings)
            now = min(now, math.inf if reading.absent else reading.ratio)
            if reading.absent or now <= times * told[row.name]:
                break
        if now < math.inf:
            found.append(Verdict(row.name, told[row.name], now))
    return found


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("observatory.check", description=__doc__)
    parser.add_argument("rows", nargs="*", help="rows whose names contain one of these texts; all by default")
    parser.add_argument("--times", type=float, default=1.5, help="how many times worse is too much")
    parser.add_argument("--seconds", type=float, default=0.3, help="seconds a row")
    arguments = parser.parse_args(argv)
    try:
        arguments.rows = chosen(arguments.rows)
    except LookupError as unknown:
        parser.error(f"no row has {unknown} in its name; there are: {', '.join(row.name for row in ROWS)}")
    return arguments


async def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each ratio; return 1 if one is too much worse."""
    arguments = parse(argv)
    with TemporaryDirectory(prefix="cascade-observatory-") as folder:
        found = await verdicts(arguments.rows, Settings(Path(folder), arguments.seconds, 3), arguments.times)
    for each in found:
        mark = "WORSE" if each.times > arguments.times else "ok"
        print(f"{each.row:60} {each.told:7.2f} -> {each.now:7.2f}  {each.times:5.2f} times  {mark}")
    return int(not found or any(each.times > arguments.times for each in found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
