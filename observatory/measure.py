"""`python -m observatory.measure [part of a name ...] [--quick]`: rows of this moment, as a table.

Times are the shortest repeat, per unit, with the garbage collector on. What misses its target stands first.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from observatory.instructions import count_instructions
from observatory.judging import HEAD, Figure, cells, in_order
from observatory.rows.row import Reading, Row, Settings, short
from observatory.rows.table import ROWS, chosen
from observatory.workloads import BY_NAME


async def figures(rows: Sequence[Row], settings: Settings, small: bool = False) -> AsyncIterator[Figure]:
    """Measure these rows, one after another; `small` takes the sizes of the tests."""
    for row in rows:
        began = time.perf_counter()
        size = row.small if small else row.size
        try:
            reading = await row.measure(size, settings)
        except Exception as error:  # noqa: BLE001 - one row that fails is told in its place, the others go on
            reading = Reading(size, absent=f"{type(error).__name__}: {error}".replace("\n", " ")[:100])
        yield Figure(row, reading, time.perf_counter() - began)


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("observatory.measure", description=__doc__)
    parser.add_argument("rows", nargs="*", help="rows whose names contain one of these texts; all by default")
    parser.add_argument("--quick", action="store_true", help="few repeats")
    parser.add_argument("--small", action="store_true", help="the sizes of the tests")
    parser.add_argument("--seconds", type=float, help="seconds a row; 1 by default, 0.1 with --quick")
    parser.add_argument("--list", action="store_true", help="only show which rows there are")
    parser.add_argument(
        "--instructions", nargs="*", metavar="workload", help="count instructions by valgrind instead"
    )
    arguments = parser.parse_args(argv)
    try:
        arguments.rows = chosen(arguments.rows)
    except LookupError as missing:
        parser.error(f"no row has {missing} in its name; there are: {', '.join(row.name for row in ROWS)}")
    if unknown := sorted(set(arguments.instructions or ()) - set(BY_NAME)):
        parser.error(f"unknown: {', '.join(unknown)}; known: {', '.join(BY_NAME)}")
    return arguments


def settings_of(arguments: argparse.Namespace, folder: str) -> Settings:
    seconds = arguments.seconds or (0.1 if arguments.quick else 1.0)
    return Settings(Path(folder), seconds, 2 if arguments.quick else 5)


def count(names: Sequence[str], console: Console) -> None:
    """Count the instructions a unit of ours and of the limit, on engines that know the structure."""
    table = Table("workload", "size", "limit", "ours", "ratio")
    for name in names or BY_NAME:
        size = 20 if name == "layered_dag" else 200
        counted = count_instructions(BY_NAME[name], size)
        table.add_row(name, str(size), short(counted.limit), short(counted.ours), f"{counted.ratio:.2f}")
    console.print(table)


async def main() -> None:
    """Measure what the command line asks for and print it."""
    arguments = parse()
    console = Console(width=max(Console().width, 150))
    if arguments.instructions is not None:
        count(arguments.instructions, console)
        return
    if arguments.list:
        for row in arguments.rows:
            console.print(f"{row.name}, at {row.size:,}: {row.target.told(row.unit)}; limit: {row.limit}")
        return
    found = []
    with TemporaryDirectory(prefix="cascade-observatory-") as folder:
        async for each in figures(arguments.rows, settings_of(arguments, folder), arguments.small):
            print(f"{each.seconds:6.1f} s  {each.row.name}", file=sys.stderr, flush=True)
            found.append(each)
    table = Table(*HEAD)
    for figure in in_order(found):
        table.add_row(*cells(figure))
    console.print(table)


if __name__ == "__main__":
    asyncio.run(main())
