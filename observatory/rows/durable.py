"""Rows of what is durable: against the same in memory and bare transactions of the same bytes on the same disk."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp

from cascade.adapters.state import Durability
from observatory.durability import (
    against_bare_commits,
    against_bare_fan_out,
    against_bare_rounds,
    against_bare_select,
)
from observatory.postgres_durability import against_bare_psycopg, missing
from observatory.rows.row import Measure, Reading, Row, Settings, Target, reading_of
from observatory.workloads import BY_NAME, Start


def folder(settings: Settings) -> Path:
    """Return a new folder for the files of one measurement."""
    return Path(mkdtemp(dir=settings.folder))


def fan_out(start: Start, kept: Durability) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        timing = await against_bare_fan_out(folder(settings), start, kept, settings.seconds, size)
        return reading_of(timing)

    return measure


def chain(kept: Durability) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        return reading_of(await against_bare_commits(folder(settings), kept, settings.seconds, size))

    return measure


def rounds(kept: Durability) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        return reading_of(await against_bare_rounds(folder(settings), kept, settings.seconds, size))

    return measure


def hits(name: str) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        return reading_of((await against_bare_select(folder(settings), settings.seconds, size))[name])

    return measure


def in_postgres(workload: str) -> Measure:
    async def measure(size: int, settings: Settings) -> Reading:
        if told := missing():
            return Reading(size, absent=told)
        return reading_of(await against_bare_psycopg(BY_NAME[workload], size, settings.seconds))

    return measure


MEMORY = "the run in memory and one bare transaction"
SYNC, ASYNC = Durability
FAN_OUT_TARGETS = {Start.COLD: 2.0, Start.AGAIN: 1.8}
CHAIN_TARGETS = {SYNC: 500.0, ASYNC: 100.0}
"""Microseconds a step."""
ROUND_TARGETS = {SYNC: 1.5, ASYNC: 1.8}
ROUNDS = {SYNC: 8, ASYNC: 100}
"""Rounds a turn: about 30 ms."""
HITS = {"hit in an SQLite cache": "cache hit", "hit in an SQLite cache, asking": "cache hit (asking)"}

GROUP = "durable"

ROWS = (
    *(
        Row(
            f"durable fan-out, {kept}, {start}",
            MEMORY,
            "us/call",
            1_000,
            20,
            Target(times=FAN_OUT_TARGETS[start]),
            fan_out(start, kept),
            GROUP,
        )
        for kept in Durability
        for start in Start
    ),
    *(
        Row(
            f"durable chain of 300, {kept}",
            "a bare commit of each step",
            "us/step",
            300,
            10,
            Target(times=1.5, most=CHAIN_TARGETS[kept]),
            chain(kept),
            GROUP,
        )
        for kept in Durability
    ),
    *(
        Row(
            f"durable round, {kept}",
            "a bare loop that commits the same",
            "us/round",
            ROUNDS[kept],
            2,
            Target(times=ROUND_TARGETS[kept]),
            rounds(kept),
            GROUP,
        )
        for kept in Durability
    ),
    *(
        Row(
            f"durable {name} in PostgreSQL",
            "psycopg committing the same rows in the same batches",
            unit,
            size,
            10,
            Target(times=2),
            in_postgres(workload),
            GROUP,
        )
        for name, workload, unit, size in (
            ("chain of 300", "chain", "us/step", 300),
            ("fan-out", "fan_out", "us/call", 1_000),
        )
    ),
    *(
        Row(name, "a bare select", "us/hit", 500, 5, Target(times=3), hits(timing), GROUP)
        for name, timing in HITS.items()
    ),
)
