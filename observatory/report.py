"""`hatch run observatory:report`: a page with a table and a picture for each workload, in docs/benchmarks/.

Ours and the limit are measured by turns in this process, the peers in the same sitting, each in its own environment.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
from pathlib import Path

from observatory.contest import Timing, against_limit
from observatory.drawing import draw_bars, draw_lines
from observatory.measure import EXTRA, Figure, Settings, figures
from observatory.peers.runner import PEERS, climb
from observatory.results import LIMIT, Point, Results, Without, sitting, tables
from observatory.workloads import WORKLOADS, Start, Workload

DOCS = Path(__file__).parents[1] / "docs" / "benchmarks"

SIZES = (10, 100, 1_000, 10_000)
LAYERS = (3, 10, 32, 100)
"""Sizes of the layered graph, which has their squares of nodes."""


def title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def points_of(start: Start, timing: Timing) -> list[Point]:
    unit = 1e6 / timing.units
    return [
        Point(who, start, timing.size, min(taken) * unit, statistics.median(taken) * unit)
        for who, taken in ((LIMIT, timing.limit), ("Cascade", timing.ours))
    ]


async def measure_ours(workload: Workload, sizes: tuple[int, ...], seconds: float) -> list[Point]:
    """Measure Cascade against the limit at each size and from both starts."""
    points: list[Point] = []
    for size in sizes:
        for start in Start:
            points += points_of(start, await against_limit(workload, start, size, seconds))
    return points


def measure_peers(
    results: Results, peers: tuple[str, ...], sizes: tuple[int, ...], seconds: float, patience: float
) -> None:
    """Add what each peer takes, or why it has no figure."""
    for peer in peers:
        for figure in climb(peer, results.workload.name, sizes, seconds, patience):
            results.versions |= figure.versions
            if figure.cannot:
                results.without.append(Without(figure.peer, 0, f"can't express it: {figure.cannot}"))
            elif figure.failed:
                results.without.append(Without(figure.peer, figure.size, figure.failed))
            for start, taken in figure.seconds.items():
                unit = 1e6 / figure.units
                point = Point(figure.peer, Start(start), figure.size, taken.min * unit, taken.median * unit)
                results.points.append(point)


def write_workload(results: Results) -> None:
    """Write the page and the picture of one workload."""
    workload = results.workload
    draw_lines(
        f"{title(workload.name)}: {workload.about}",
        workload.unit,
        results.lines(),
        DOCS / f"{workload.name}.png",
    )
    page = (
        f"# {title(workload.name)}\n\n{workload.about[0].upper()}{workload.about[1:]}. "
        f"{sitting(results.versions)}\n\n"
        f"![Microseconds per {workload.unit} over size]({workload.name}.png)\n\n{tables(results)}"
    )
    (DOCS / f"{workload.name}.md").write_text(page)


def write_targets(rows: list[Figure]) -> None:
    """Write the page of all figures that have a target, and the pictures of those without a page of their own."""
    head = "| workload | start | size | unit | limit | ours | ratio | of medians | target |"
    lines = [head, "| --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {row.workload} | {row.start} | {row.size:,} | {row.unit} | {row.limit} | {row.ours} | {row.ratio} "
        f"| {row.median} | {row.target} |"
        for row in rows
    ]
    pages = "\n".join(
        f"- [{title(each.name)}]({each.name}.md): {each.about}"
        for each in WORKLOADS
        if (DOCS / f"{each.name}.md").exists()
    )
    table = "\n".join(lines)
    (DOCS / "README.md").write_text(INTRODUCTION.format(sitting=sitting({}), table=table, pages=pages))
    draw_extra(rows)


def draw_extra(rows: list[Figure]) -> None:
    """Draw making a lazy result, listening, and what a graph weighs."""
    lazies = [row for row in rows if row.workload.startswith("lazy_result")]
    bars = {row.workload: {"limit": float(row.limit), "Cascade": float(row.ours)} for row in lazies}
    draw_bars("Making one lazy result", "microseconds", bars, DOCS / "lazy_result.png")
    listeners = [row for row in rows if row.workload.startswith("listener")]
    bars = {
        row.workload.removeprefix("listener on "): {
            "nobody": float(row.limit),
            "a listener on every event": float(row.ours),
        }
        for row in listeners
    }
    draw_bars("Listening", "microseconds per node", bars, DOCS / "listener.png")
    graphs = [row for row in rows if row.unit == "B/node"]
    bars = {}
    for row in graphs:
        graph, lazy = (float(part) for part in row.ours.split(" + "))
        bars[row.workload.removeprefix("memory of ")] = {
            "bare tree": float(row.limit),
            "lazy results": lazy,
            "graph": graph,
        }
    draw_bars("What a node weighs", "bytes", bars, DOCS / "memory.png")


INTRODUCTION = """# Benchmarks

{sitting}

The *limit* of a workload is plain Python that does only what the user's own code does: it builds the same tree of the
lightest lazy results there can be and calls the same functions directly. Each ratio is measured in one process, the two
sides by turns; a time is the shortest repeat. `again` is an engine that knows the structure and gets new literals,
`cold` a new engine and a new structure.

{table}

A listener's figure is what it adds to a node; `limit` is the same run with nobody listening. Of a node's memory, the
first number is the built graph, the second the lazy results that it is built of; `limit` is the tree of bare objects.

What is durable is held against `sqlite3` by itself, on the same disk, with the same journal mode and synchronous
setting, by turns. A durable round is one of a countdown; its limit is a loop that writes and commits the same bytes.
The limit of a durable fan-out is the same run in memory and one bare transaction of all its rows; the store is there
already. `sync` survives the loss of power, and takes what the disk takes; `async` survives the end of the process. A
cache hit is all that a run does for a call whose value is in an SQLite cache: its share of the tree and of the plan,
the key, asking and decoding; `asking` is the last three alone. The limit of both is a select of the same value, a text
of 1,000 letters.

![Making one lazy result](lazy_result.png)
![Listening](listener.png)
![What a node weighs](memory.png)

## By workload, beside other engines

{pages}

## Experiments

In the Game of Life of `hatch run observatory:life` every cell is a task that returns its own next call, all on one
engine, and each generation is checked against a direct computation. So are the fireflies of `hatch run
observatory:fireflies`, Kuramoto oscillators that fall into step where they heed each other enough:

![The order parameter over time](fireflies.png)

## How to measure

`hatch run observatory:report` writes these pages, `hatch run observatory:measure [workload ...]` prints the figures of
the moment, `hatch run observatory:bench` runs the benchmarks by pytest-benchmark, and `hatch run observatory:peers` the
other engines, each in an environment of its own with pinned versions.
"""


async def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser("observatory.report", description=__doc__)
    known = {each.name: each for each in WORKLOADS}
    parser.add_argument(
        "workloads", nargs="*", metavar="workload", help=f"of {', '.join(known)}; all by default"
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="for each figure")
    parser.add_argument("--patience", type=float, default=12.0, help="seconds that a peer's run may take")
    parser.add_argument("--peers", nargs="*", default=PEERS, choices=PEERS)
    parser.add_argument("--targets", action="store_true", help="write nothing but the table of targets")
    parser.add_argument("--no-targets", action="store_true", help="leave the table of targets as it is")
    given = parser.parse_args()
    DOCS.mkdir(parents=True, exist_ok=True)
    for name in () if given.targets else given.workloads or known:
        workload = known[name]
        sizes = LAYERS if name == "layered_dag" else SIZES
        results = Results(workload, await measure_ours(workload, sizes, given.seconds), [], {})
        measure_peers(results, tuple(given.peers), sizes, given.seconds, given.patience)
        write_workload(results)
        print(DOCS / f"{name}.md", flush=True)
    if not given.no_targets:
        wanted = (*known, *EXTRA)
        write_targets([row async for row in figures(wanted, Settings(given.seconds, full=True))])
        print(DOCS / "README.md")


if __name__ == "__main__":
    asyncio.run(main())
