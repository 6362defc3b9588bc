"""The sheets of the report that are no workload's: targets, the chart over sizes, and the grid of features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from observatory.judging import Figure, summary, table
from observatory.results import Line, Results, Sitting, tables
from observatory.rows.duel import repeats
from observatory.rows.features import FEATURES, PLAIN, Feature
from observatory.rows.row import Settings, short
from observatory.rows.shapes import FAN_OUT, LOOP, MAP, SHAPES, Shape
from observatory.workloads import PAGES

CHART_SIZES = (10, 100, 1_000, 10_000, 100_000, 1_000_000)
CHART_SHAPES = (MAP, FAN_OUT, LOOP)
GRID_SIZES = (10, 10_000, 1_000_000)

PATIENCE = 8.0
"""Seconds that one run of the grid may take; of what would take longer the page says so."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Microseconds a call of a feature in a shape at one size, or why there are none."""

    feature: Feature
    shape: Shape
    size: int
    us: float = 0.0
    absent: str = ""

    @property
    def told(self) -> str:
        return self.absent or short(self.us)


async def measure_chart(settings: Settings, sizes: Sequence[int] = CHART_SIZES) -> list[Cell]:
    """Measure the cost of a call over sizes, on engines that know the structure."""
    return [await _cell(PLAIN, shape, size, settings) for shape in CHART_SHAPES for size in sizes]


async def measure_grid(settings: Settings, sizes: Sequence[int] = GRID_SIZES) -> list[Cell]:
    """Measure each feature in each shape at growing sizes, until one run would take too long."""
    cells = []
    for feature in FEATURES:
        for shape in SHAPES:
            us = 0.0
            for size in sizes:
                if (expected := us * size / 1e6) > PATIENCE:
                    cells.append(Cell(feature, shape, size, absent=f"not tried: {expected:.0f} s"))
                    continue
                cells.append(await _cell(feature, shape, size, settings))
                us = cells[-1].us
    return cells


async def _cell(feature: Feature, shape: Shape, size: int, settings: Settings) -> Cell:
    if shape is LOOP and "cache" in feature.options:
        return Cell(feature, shape, size, absent="-")
    if feature.same and size > 20_000:
        return Cell(feature, shape, size, absent="-")
    return Cell(feature, shape, size, min(await repeats(shape.side(feature), size, settings)))


def chart_lines(cells: Iterable[Cell]) -> list[Line]:
    """Return the lines of the chart of what a call costs over sizes."""
    found = list(cells)
    return [
        Line(shape.name, tuple((each.size, each.us) for each in found if each.shape is shape))
        for shape in CHART_SHAPES
    ]


def chart_table(cells: Iterable[Cell]) -> str:
    """Return the Markdown of the chart's figures."""
    found = list(cells)
    sizes = sorted({each.size for each in found})
    lines = [f"| | {' | '.join(f'{size:,}' for size in sizes)} |", f"| --- |{' ---: |' * len(sizes)}"]
    for shape in CHART_SHAPES:
        own = {each.size: each.told for each in found if each.shape is shape}
        lines.append(f"| {shape.name} | {' | '.join(own.get(size, '') for size in sizes)} |")
    return "\n".join(lines)


def grid_page(cells: Iterable[Cell], sitting: Sitting) -> str:
    """Return the page of features and shapes."""
    found = list(cells)
    sizes = sorted({each.size for each in found})
    columns = [(shape, size) for shape in SHAPES for size in sizes]
    lines = [
        f"| beside each call | {' | '.join(f'{shape.name}, {size:,}' for shape, size in columns)} |",
        f"| --- |{' ---: |' * len(columns)}",
    ]
    by_place = {(each.feature.name, each.shape.name, each.size): each.told for each in found}
    for feature in FEATURES:
        own = (by_place.get((feature.name, shape.name, size), "") for shape, size in columns)
        lines.append(f"| {feature.name} | {' | '.join(own)} |")
    return GRID.format(sitting=sitting.told(), table="\n".join(lines))


GRID = """# What stands beside a call

{sitting}

Microseconds per call, item or round, the shortest repeat, on an engine that knows the structure and gets new literals
(a cache hit has the old ones). Processor time, garbage collection is on. A loop's calls return lazy results, which no
cache keeps, and the cache in memory of these runs holds 20,000 values. Where one run would take longer than
8 seconds, it was not tried.

{table}
"""


def title(name: str) -> str:
    return name.replace("_", " ").capitalize()


def workload_page(results: Results, sitting: Sitting) -> str:
    """Return the page of one workload, beside the peers."""
    workload = results.workload
    return (
        f"# {title(workload.name)}\n\n{workload.about[0].upper()}{workload.about[1:]}. "
        f"{sitting.told(results.versions)}\n\n"
        f"![Microseconds per {workload.unit} over size]({workload.name}.png)\n\n{tables(results)}"
    )


def targets_page(figures: Sequence[Figure], chart: Sequence[Cell], sitting: Sitting) -> str:
    """Return the page of all rows, the missed ones first and marked, and of the chart over sizes."""
    return INTRODUCTION.format(
        sitting=sitting.told(),
        targets=f"{summary(figures)}\n\n{table(figures)}",
        chart=chart_table(chart),
        pages="\n".join(f"- [{title(each.name)}]({each.name}.md): {each.about}" for each in PAGES),
    )


INTRODUCTION = """# Benchmarks

{sitting}

The *limit* of a row is what the same would cost without Cascade, as the row says: plain Python that does only what the
user's own code does, a bare pool, a bare connection to SQLite, or the same run without what is measured. Each row is
measured by turns, in one process unless it is about processes; a time is the shortest repeat, and each answer is
checked. `again` is an engine that knows the structure and gets new literals, `cold` a new engine and a new structure.
`now` is the figure that the target is about. What misses its target stands first, the farthest from it at the top.

## Targets

{targets}

What is durable is held against SQLite by itself, on the same disk, through the same library, with the same journal mode
and synchronous setting. A durable round is one of a countdown; its limit is a loop that writes and commits the same
bytes. The limit of a durable fan-out is the same run in memory and one bare transaction of all its rows; the store is
there already. `sync` survives the loss of power, and takes what the disk takes; `async` survives the end of the
process. A cache hit is all that a run does for a call whose value is in an SQLite cache: its share of the tree and of
the plan, the key, asking and decoding; `asking` is the last three alone. The limit of both is a select of the same
value, a text of 1,000 letters.

## From ten to a million

Microseconds per call, item or round on an engine that knows the structure, garbage collection on.

![What a call costs over sizes](sizes.png)

{chart}

[What stands beside a call](features.md) shows the same with a retry, a listener, a resource and so on.

## By workload, beside other engines

{pages}

## Experiments

In the Game of Life of `hatch run observatory:life` every cell is a task that returns its own next call, all on one
engine, and each generation is checked against a direct computation. So are the fireflies of `hatch run
observatory:fireflies`, Kuramoto oscillators that fall into step where they heed each other enough:

![The order parameter over time](fireflies.png)

## How to measure

`hatch run observatory:report` writes these pages in one go, from one commit. `hatch run observatory:measure [part of a
name ...]` prints rows of the moment, `hatch run observatory:check` fails if a ratio is much worse than the one here,
`hatch run observatory:bench` runs the benchmarks by pytest-benchmark, and `hatch run observatory:peers` the other
engines, each in an environment of its own with pinned versions.
"""
