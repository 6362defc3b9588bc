"""`python -m observatory.measure [workload ...] [--quick]`: the figures of this moment, as a table.

Times are the shortest repeat, per unit. A ratio stands beside the target that the requirement names; it's for the
reader to judge.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from observatory.contest import Timing, against_limit, against_listener, fitting_size
from observatory.durability import durability
from observatory.footprint import graph_footprint, lazy_timings, loop_growth
from observatory.instructions import count_instructions
from observatory.searches import returned_numbers
from observatory.workloads import BY_NAME, WORKLOADS, Start

LISTENER_WORKLOADS = ("chain", "fan_out", "simple_countdown")


@dataclass(frozen=True, slots=True)
class Figure:
    """One row: what was measured, the limit, ours and the target. Texts, since units differ."""

    workload: str
    start: str
    size: int
    unit: str
    limit: str
    ours: str
    ratio: str
    median: str
    target: str


@dataclass(frozen=True, slots=True)
class Settings:
    """How to measure: seconds a row, whether to keep sizes however long a repeat takes, and the collector."""

    seconds: float = 1.0
    full: bool = False
    collecting: bool = False
    size: int | None = None


def ratio_figure(name: str, start: str, unit: str, timing: Timing, target: float) -> Figure:
    return Figure(
        name,
        start,
        timing.size,
        f"us/{unit}",
        f"{timing.limit_us:.3f}",
        f"{timing.ours_us:.3f}",
        f"{timing.ratio:.2f}",
        f"{timing.median_ratio:.2f}",
        f"{target:g} x",
    )


async def limit_figures(name: str, settings: Settings) -> AsyncIterator[Figure]:
    """Measure one workload against its limit, from each start that it has a target for."""
    workload = BY_NAME[name]
    for start, target in workload.targets.items():
        size = settings.size or workload.size
        if not settings.full and settings.size is None and name != "sleepers":
            size = await fitting_size(workload, start)
        timing = await against_limit(workload, start, size, settings.seconds, collecting=settings.collecting)
        yield ratio_figure(name, start, workload.unit, timing, target)


async def listener_figures(settings: Settings) -> AsyncIterator[Figure]:
    """Measure what a listener on every event adds; the limit is the same run without it."""
    for name in LISTENER_WORKLOADS:
        size = settings.size or await fitting_size(BY_NAME[name], Start.AGAIN)
        timing = await against_listener(BY_NAME[name], size, settings.seconds)
        figure = ratio_figure(f"listener on {name}", "again", BY_NAME[name].unit, timing, 0)
        yield Figure(
            figure.workload,
            figure.start,
            figure.size,
            figure.unit,
            figure.limit,
            figure.ours,
            f"+{timing.extra:.2f} us",
            figure.median,
            "+4 us",
        )


async def lazy_figures(settings: Settings) -> AsyncIterator[Figure]:
    """Measure making one lazy result: against the bare object, and against a bare task's call that makes it."""
    for name, timing in lazy_timings(settings.seconds):
        yield ratio_figure(name, "", "lazy", timing, 1.5)


async def memory_figures(settings: Settings) -> AsyncIterator[Figure]:
    """Measure what a built graph holds, in bytes a node, and by how much a long loop makes the process grow."""
    size = settings.size or (100_000 if settings.full else 20_000)
    for shape in ("chain", "fan_out"):
        foot = graph_footprint(BY_NAME[shape], size)
        yield Figure(
            f"memory of {shape}",
            "",
            size,
            "B/node",
            f"{foot.bare:.0f}",
            f"{foot.graph:.0f} + {foot.lazies:.0f}",
            f"{foot.total / foot.bare:.2f}",
            "",
            "1024 B",
        )
    rounds = settings.size or (1_000_000 if settings.full else 50_000)
    growth = await loop_growth(rounds)
    yield Figure("memory of a loop", "", rounds, "KiB in all", "0", f"{growth / 1024:.0f}", "", "", "flat")


async def returned_figures(settings: Settings) -> AsyncIterator[Figure]:
    """Measure what the search for lazy results adds to a large list that a task returns."""
    size = settings.size or 1_000_000
    timing = await returned_numbers(size, settings.seconds)
    yield Figure(
        "returned numbers",
        "again",
        size,
        "ns/element",
        f"{timing.quoted_ns:.2f}",
        f"{timing.searched_ns:.2f}",
        f"+{timing.extra_ns:.1f} ns",
        "",
        "+20 ns",
    )


async def durable_figures(settings: Settings) -> AsyncIterator[Figure]:
    """Measure what durability costs; the limits are `sqlite3` and Redis by themselves, writing and reading the same."""
    with TemporaryDirectory(prefix="cascade-observatory-") as folder:
        async for each in durability(Path(folder), settings.seconds):
            target = "" if each.target is None else f"{each.target:g} x"
            row = ratio_figure(each.name, each.start, each.unit, each.timing, 0)
            yield replace(row, target=target)


EXTRA = {
    "listener": listener_figures,
    "lazy_result": lazy_figures,
    "memory": memory_figures,
    "returned_numbers": returned_figures,
    "durable": durable_figures,
}


async def figures(names: Sequence[str], settings: Settings) -> AsyncIterator[Figure]:
    """Give the rows of these workloads, of all if none is named, one after another."""
    for name in names or (*BY_NAME, *EXTRA):
        rows = limit_figures(name, settings) if name in BY_NAME else EXTRA[name](settings)
        async for figure in rows:
            yield figure


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("observatory.measure", description=__doc__)
    known = (*(workload.name for workload in WORKLOADS), *EXTRA)
    parser.add_argument("workloads", nargs="*", metavar="workload", help=f"of {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="0.3 s a row in place of 1 s")
    parser.add_argument("--seconds", type=float, help="seconds a row")
    parser.add_argument("--size", type=int, help="this size for all")
    parser.add_argument("--full", action="store_true", help="keep the sizes, however long a repeat takes")
    parser.add_argument("--gc", action="store_true", help="let the garbage collector run in the repeats")
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions with valgrind instead"
    )
    arguments = parser.parse_args(argv)
    unknown = sorted(set(arguments.workloads) - set(known))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return arguments


def settings_of(arguments: argparse.Namespace) -> Settings:
    seconds = arguments.seconds or (0.3 if arguments.quick else 1.0)
    return Settings(seconds, arguments.full, arguments.gc, arguments.size)


async def instruction_figures(names: Sequence[str], settings: Settings) -> AsyncIterator[Figure]:
    """Count the instructions a unit of ours and of the limit, on engines that know the structure."""
    for name in names or BY_NAME:
        workload = BY_NAME[name]
        size = settings.size or (20 if name == "layered_dag" else 200)
        counted = count_instructions(workload, size)
        yield Figure(
            name,
            "again",
            size,
            f"instr/{workload.unit}",
            f"{counted.limit:,.0f}",
            f"{counted.ours:,.0f}",
            f"{counted.ratio:.2f}",
            "",
            f"{workload.targets[Start.AGAIN]:g} x",
        )


async def main() -> None:
    """Measure what the command line asks for and print it."""
    arguments = parse()
    settings = settings_of(arguments)
    measured = instruction_figures if arguments.instructions else figures
    table = Table("workload", "start", "size", "unit", "limit", "ours", "ratio", "of medians", "target")
    for column in table.columns[4:]:
        column.justify = "right"
    async for each in measured(arguments.workloads, settings):
        row = (each.workload, each.start, f"{each.size:,}", each.unit, each.limit, each.ours)
        table.add_row(*row, each.ratio, each.median, each.target)
    console = Console()
    Console(width=max(console.width, 120)).print(table)


if __name__ == "__main__":
    asyncio.run(main())
