"""Rows of single things: lazy results, what a graph weighs, what the search through a returned list costs."""

from __future__ import annotations

from observatory.footprint import graph_footprint, lazy_timing, loop_growth
from observatory.rows.row import Measure, Reading, Row, Settings, Target, reading_of
from observatory.searches import returned_numbers
from observatory.workloads import BY_NAME


def lazies(limit: str) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        return reading_of(lazy_timing(limit, size, settings.seconds))

    return measure


def weight(shape: str) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        foot = graph_footprint(BY_NAME[shape], size)
        return Reading(size, [foot.bare], [foot.total])

    return measure


async def growth(size: int, settings: Settings) -> Reading:
    return Reading(size, [0.0], [max(0, await loop_growth(size)) / size])


async def search(size: int, settings: Settings) -> Reading:
    timing = await returned_numbers(size, settings.seconds)
    return Reading(size, [timing.quoted_ns], [timing.searched_ns])


SMALL = {20_000: 100, 100_000: 300, 1_000_000: 20_000}
"""Sizes for tests."""


def row(name: str, limit: str, unit: str, target: Target, measure: Measure) -> Row:
    size = SIZES[unit]
    return Row(name, limit, unit, size, SMALL[size], target, measure, "objects")


SIZES = {"us/lazy": 20_000, "B/node": 100_000, "B/round": 1_000_000, "ns/element": 1_000_000}

ROWS = (
    row("making a lazy result", "a bare object", "us/lazy", Target(times=1.5), lazies("object")),
    row(
        "making a lazy result, by a call", "a bare task's call", "us/lazy", Target(times=1.5), lazies("call")
    ),
    row("memory of a chain", "a tree of bare objects", "B/node", Target(most=1_024), weight("chain")),
    row("memory of a fan-out", "a tree of bare objects", "B/node", Target(most=1_024), weight("fan_out")),
    row("memory of a loop", "nothing", "B/round", Target(most=1), growth),
    row("returned numbers", "the same, quoted", "ns/element", Target(more=20), search),
)
