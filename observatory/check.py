"""`python -m observatory.check [workload ...] [--times 1.5]`: is a ratio worse than the one in `docs/benchmarks`?

Measures again, in this process, each ratio to the limit that stands in the table there. Exits with 1 if one is more
than so many times worse. A row that looks worse is measured a second time: a shared machine stops for moments.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from observatory.measure import Figure, Settings, figures
from observatory.workloads import BY_NAME

README = Path(__file__).parents[1] / "docs" / "benchmarks" / "README.md"
PARTS = (*BY_NAME, "lazy_result", "durable")
"""What is measured again: all that has a ratio."""

Row = tuple[str, str]
"""A workload and its start."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One ratio, as it is told in the repository and as it is now."""

    row: Row
    told: float
    now: float

    @property
    def times(self) -> float:
        """How many times as large it is now."""
        return self.now / self.told


def told_ratios(page: str) -> dict[Row, float]:
    """Return the ratios of the table in a page, by workload and start."""
    found = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 9 and (ratio := number(cells[6])) is not None:
            found[cells[0], cells[1]] = ratio
    return found


def number(text: str) -> float | None:
    """Return the ratio that a cell shows; `None` for what is no ratio."""
    try:
        return float(text)
    except ValueError:
        return None


async def measured(part: str, settings: Settings) -> dict[Row, float]:
    """Return the ratios of this moment."""
    rows: list[Figure] = [each async for each in figures([part], settings)]
    ratios = {(each.workload, each.start): number(each.ratio) for each in rows}
    return {row: ratio for row, ratio in ratios.items() if ratio is not None}


async def verdicts(parts: Sequence[str], settings: Settings, times: float) -> list[Verdict]:
    """Measure each part, and once more where a ratio looks worse; the better of both counts."""
    told = told_ratios(README.read_text(encoding="utf-8"))
    found = []
    for part in parts:
        now = await measured(part, settings)
        if any(ratio > times * told[row] for row, ratio in now.items() if row in told):
            again = await measured(part, settings)
            now = {row: min(ratio, again.get(row, ratio)) for row, ratio in now.items()}
        found += [Verdict(row, told[row], ratio) for row, ratio in now.items() if row in told]
    return found


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("observatory.check", description=__doc__)
    parser.add_argument("workloads", nargs="*", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--times", type=float, default=1.5, help="how many times worse is too much")
    parser.add_argument("--seconds", type=float, default=0.3, help="seconds a row")
    arguments = parser.parse_args(argv)
    if unknown := sorted(set(arguments.workloads) - set(PARTS)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(PARTS)}")
    return arguments


async def main(argv: Sequence[str] | None = None) -> int:
    """Print a line for each ratio; return 1 if one is too much worse."""
    arguments = parse(argv)
    parts = arguments.workloads or PARTS
    found = await verdicts(parts, Settings(arguments.seconds), arguments.times)
    for each in found:
        mark = "WORSE" if each.times > arguments.times else "ok"
        print(f"{' '.join(each.row):32} {each.told:7.2f} -> {each.now:7.2f}  {each.times:5.2f} times  {mark}")
    return int(not found or any(each.times > arguments.times for each in found))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
