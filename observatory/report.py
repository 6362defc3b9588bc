"""`hatch run observatory:report`: all pages of docs/benchmarks in one go, from one commit.

Ours and the limit are measured by turns in this process, the peers in the same sitting, each in its own environment.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from observatory.drawing import draw_lines
from observatory.judging import Figure
from observatory.measure import figures
from observatory.pages import (
    CHART_SIZES,
    GRID_SIZES,
    Cell,
    chart_lines,
    grid_page,
    measure_chart,
    measure_grid,
    targets_page,
    title,
    workload_page,
)
from observatory.peers.runner import PEERS, PeerFigure, abilities, climb
from observatory.results import LIMIT, Point, Results, Sitting, Without
from observatory.rows.calls import duel_of
from observatory.rows.row import Settings
from observatory.rows.table import ROWS
from observatory.workloads import PAGES, Start, Workload

DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"

SIZES = (10, 1_000, 10_000)
FEWER = (10, 300)
SIZES_OF = {
    "layered_dag": (3, 32, 100),
    "process_work": FEWER,
    "durable_chain": FEWER,
    "durable_fan_out": FEWER,
}
"""The layered graph has squares of nodes; the others take long."""


async def measure_ours(workload: Workload, sizes: tuple[int, ...], settings: Settings) -> list[Point]:
    """Measure Cascade against the limit at each size and from both starts."""
    points: list[Point] = []
    for size in sizes:
        for start in Start:
            reading = await duel_of(workload, start)(size, settings)
            points += [
                Point(who, start, size, min(taken), statistics.median(taken))
                for who, taken in ((LIMIT, reading.limit), ("Cascade", reading.ours))
            ]
    return points


def measure_peers(
    results: Results, peers: tuple[str, ...], sizes: tuple[int, ...], seconds: float, patience: float
) -> None:
    """Add what each peer takes, or why it has no figure."""
    for peer in peers:
        for figure in climb(peer, results.workload.name, sizes, seconds, patience):
            results.versions |= figure.versions
            if figure.besides and figure.seconds:
                results.besides[figure.peer] = figure.besides
            if figure.cannot:
                results.without.append(Without(figure.peer, 0, f"can't express it: {figure.cannot}"))
            elif figure.failed:
                results.without.append(Without(figure.peer, figure.size, figure.failed))
            for start, taken in figure.seconds.items():
                unit = 1e6 / figure.units
                point = Point(figure.peer, Start(start), figure.size, taken.min * unit, taken.median * unit)
                results.points.append(point)


def write_workload(results: Results, sitting: Sitting, folder: Path) -> None:
    """Write the page and the picture of one workload."""
    workload = results.workload
    name = f"{title(workload.name)}: {workload.about}"
    draw_lines(name, workload.unit, results.lines(), folder / f"{workload.name}.png")
    (folder / f"{workload.name}.md").write_text(workload_page(results, sitting))


def write_targets(rows: list[Figure], chart: list[Cell], sitting: Sitting, folder: Path) -> None:
    """Write the page of all rows, and the chart over sizes."""
    draw_lines(
        "What a call costs, from 10 to 1,000,000 of them", "call", chart_lines(chart), folder / "sizes.png"
    )
    (folder / "README.md").write_text(targets_page(rows, chart, sitting))


class MovedError(RuntimeError):
    """The commit changed while the report was made, so its pages are not of one."""


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("observatory.report", description=__doc__)
    known = {each.name: each for each in PAGES}
    parser.add_argument(
        "workloads", nargs="*", metavar="workload", help=f"of {', '.join(known)}; all by default"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="for each row of the targets")
    parser.add_argument("--patience", type=float, default=4.0, help="seconds that a peer's run may take")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--prepare", action="store_true", help="only make the environments of the peers")
    parser.add_argument(
        "--quick", action="store_true", help="few repeats of small sizes, to try the report itself"
    )
    parser.add_argument("--folder", type=Path, default=DOCS, help="where the pages are written")
    given = parser.parse_args(argv)
    if unknown := sorted(set(given.workloads) - known.keys()):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return given


async def write_all(given: argparse.Namespace) -> None:
    """Measure and write every page.

    Raises:
        MovedError: If the commit changes meanwhile.
    """
    sitting, began = Sitting.now(), time.perf_counter()

    def say(what: str) -> None:
        print(f"{time.perf_counter() - began:7.0f} s  {what}", file=sys.stderr, flush=True)

    given.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="cascade-observatory-") as place:
        settings = Settings(Path(place), 0.0 if given.quick else given.seconds, 2 if given.quick else 5)
        points = Settings(Path(place), settings.seconds / 5, 2 if given.quick else 3)
        if not given.workloads:
            rows = []
            async for each in figures(ROWS, settings, small=given.quick):
                rows.append(each)
                say(each.row.name)
            small = given.quick
            chart = await measure_chart(points, CHART_SIZES[: 3 if small else None])
            say("the chart")
            grid = await measure_grid(points, GRID_SIZES[: 1 if small else None])
            say("the grid")
            write_targets(rows, chart, sitting, given.folder)
            (given.folder / "features.md").write_text(grid_page(grid, sitting))
        for workload in PAGES:
            if given.workloads and workload.name not in given.workloads:
                continue
            sizes = SIZES_OF.get(workload.name, SIZES)[: 1 if given.quick else None]
            results = Results(workload, await measure_ours(workload, sizes, points), [], {})
            measure_peers(results, tuple(given.peers), sizes, points.seconds, given.patience)
            write_workload(results, sitting, given.folder)
            say(f"{workload.name}.md")
    if Sitting.now().commit != sitting.commit:
        raise MovedError(
            f"the pages are of commit {sitting.commit}, which is not the present one any more: measure again"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Make the pages, or what they need."""
    given = parse(argv)
    if not given.prepare:
        asyncio.run(write_all(given))
        return
    for peer in given.peers:
        told = abilities(peer)
        print(f"{peer}: {told.failed if isinstance(told, PeerFigure) else 'ready'}", flush=True)


if __name__ == "__main__":
    main()
