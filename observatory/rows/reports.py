"""Rows of the report of a large run, in a real browser: how large it is, when it is there, what a zoom step takes.

The limit is nothing: these are bounds of their own. Where no browser starts, there is no reading.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cascade as cs
from observatory.rows.row import Measure, Reading, Row, Settings, Target

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TIMES = 5
"""So often the page is opened."""

ZOOMS = 12
"""So many steps in, and as many out, each time."""


class Opened(NamedTuple):
    """What a browser measured of a report, in milliseconds: medians of all times that it was opened."""

    ready: float
    zoom_step: float


@cs.task
def load(number: int) -> int:
    return number


@cs.task
async def fetch(number: int) -> int:
    return number


@cs.task
def again(left: int) -> object:
    return again(left - 1) if left else 0


async def report_of(size: int, folder: Path) -> Path:
    """Return the report of a run of so many calls: items of maps, coroutines among them, and rounds of a loop."""
    path = folder / f"report-{size}.html"
    if not path.exists():
        timeline = cs.Timeline(max_calls=2 * size)
        third = size // 3
        target = cs.gather(load.map(range(size - 2 * third)), fetch.map(range(third)), again(third))
        await cs.arun(target, timeline=timeline)
        timeline.to_html(path)
    return path


def browser() -> str | None:
    return next((found for found in map(shutil.which, BROWSERS) if found), None)


def open_report(path: Path, program: str) -> Opened:
    """Open a report several times and zoom in it, as a user does by keys."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - rows without a browser do without it

    ready: list[float] = []
    steps: list[float] = []
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        for _ in range(TIMES):
            page = opened.new_page()
            page.goto(path.as_uri())
            ready += page.evaluate(
                "performance.getEntriesByName('cascade-ready', 'mark').map(each => each.startTime)"
            )
            for key in "+" * ZOOMS + "-" * ZOOMS:
                page.press("#lanes", key)
            steps += page.evaluate(
                "performance.getEntriesByName('zoom', 'measure').map(each => each.duration)"
            )
            page.close()
        opened.close()
    return Opened(statistics.median(ready), statistics.median(steps))


def in_browser(field: str) -> Measure:
    """Return what measures one of the figures that a browser gives."""

    async def measure(size: int, settings: Settings) -> Reading:
        program = browser()
        if program is None:
            return Reading(size, absent="no browser is installed")
        path = await report_of(size, settings.folder)
        # Playwright keeps an event loop in its thread.
        with ThreadPoolExecutor(1) as thread:
            opened = await asyncio.get_running_loop().run_in_executor(thread, open_report, path, program)
        return Reading(size, [0.0], [getattr(opened, field)])

    return measure


async def size_of_report(size: int, settings: Settings) -> Reading:
    path = await report_of(size, settings.folder)
    return Reading(size, [0.0], [path.stat().st_size / 1e6])


def row(name: str, unit: str, target: Target, measure: Measure) -> Row:
    return Row(name, "nothing", unit, 1_000_000, 2_000, target, measure, "reports")


ROWS = (
    row("report of a million calls: size", "MB", Target(most=5), size_of_report),
    row("report of a million calls: ready", "ms", Target(most=1_000), in_browser("ready")),
    row("report of a million calls: zoom step", "ms", Target(most=16), in_browser("zoom_step")),
)
