"""What the report is made of: points measured, and the tables that they make."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from observatory.rows.row import short
from observatory.workloads import Start, Workload

LIMIT = "the limit"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a picture: microseconds a unit by size."""

    name: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class Point:
    """What somebody took at one size: microseconds a unit, the shortest repeat and the median."""

    who: str
    start: Start
    size: int
    min: float
    median: float


@dataclass(frozen=True, slots=True)
class Without:
    """Why somebody has no figure from some size on."""

    who: str
    size: int
    why: str


@dataclass(slots=True)
class Results:
    """All that was measured of one workload in one sitting."""

    workload: Workload
    points: list[Point]
    without: list[Without]
    versions: dict[str, str]
    besides: dict[str, str] = field(default_factory=dict)

    def at(self, who: str, start: Start, size: int) -> Point | None:
        found = (each for each in self.points if (each.who, each.start, each.size) == (who, start, size))
        return next(found, None)

    def sizes(self) -> list[int]:
        return sorted({each.size for each in self.points})

    def others(self) -> list[str]:
        """The peers that have a figure, the quickest at the largest size that it reached first."""
        peers = {each.who for each in self.points} - {LIMIT, "Cascade"}
        return sorted(peers, key=lambda who: min(each.min for each in self.points if each.who == who))

    def lines(self) -> list[Line]:
        """The lines of the picture: what is ours from both starts, the peers again."""
        wanted = [("Cascade", Start.AGAIN), ("Cascade", Start.COLD), (LIMIT, Start.AGAIN)]
        wanted += [(who, Start.AGAIN) for who in self.others()]
        return [
            Line(
                f"{who}, {start}" if who == "Cascade" else who,
                tuple(
                    (size, point.min)
                    for size in self.sizes()
                    if (point := self.at(who, start, size)) is not None
                ),
            )
            for who, start in wanted
        ]


def tables(results: Results) -> str:
    """Return the Markdown of one workload: a table by start, and who has no figure and why."""
    unit = results.workload.unit
    head = (
        f"Microseconds per {unit}, the shortest repeat (the median in brackets). In the lines of Cascade the ratio "
        f"is to the limit, of the shortest repeats; in those of the peers, to Cascade. The picture shows the "
        f"peers `again`.\n"
    )
    parts = [head]
    for start in (Start.AGAIN, Start.COLD):
        target = results.workload.targets.get(start)
        aim = f"; target at {results.workload.size:,}: {target:g} x the limit" if target else ""
        parts.append(f"## {STARTS[start]}{aim}\n\n{_table(results, start)}\n")
    if results.besides:
        lines = (f"| {who} | {what} |" for who, what in sorted(results.besides.items()))
        parts.append(
            "## What each does besides\n\n| | besides calling the functions |\n| --- | --- |\n"
            + "\n".join(lines)
            + "\n"
        )
    if results.without:
        lines = (_reason(each) for each in results.without)
        parts.append("## Without a figure\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


STARTS = {
    Start.AGAIN: "Again: the structure is known, the literals are new",
    Start.COLD: "Cold: a new engine, a new structure",
}


def _table(results: Results, start: Start) -> str:
    sizes = results.sizes()
    lines = [
        f"| | {' | '.join(f'{size:,}' for size in sizes)} |",
        f"| --- |{' ---: |' * len(sizes)}",
    ]
    for who in (LIMIT, "Cascade", *results.others()):
        cells = (_cell(results, who, start, size) for size in sizes)
        lines.append(f"| {who} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(results: Results, who: str, start: Start, size: int) -> str:
    point = results.at(who, start, size)
    if point is None:
        return ""
    told = f"{short(point.min)} ({short(point.median)})"
    against = results.at(LIMIT if who == "Cascade" else "Cascade", start, size)
    if who == LIMIT or against is None:
        return told
    return f"{told}, {short(point.min / against.min)} x"


def _reason(each: Without) -> str:
    return f"- {each.who}: {each.why}" if not each.size else f"- {each.who}, at {each.size:,}: {each.why}"


@dataclass(frozen=True, slots=True)
class Sitting:
    """When, where and of which commit the pages of one report are; `changed` if the files differ from the commit."""

    day: str
    commit: str
    changed: bool

    @classmethod
    def now(cls) -> Sitting:
        found = f"{datetime.now(UTC):%Y-%m-%d}", _git("rev-parse", "--short=12", "HEAD") or "unknown"
        # What the report writes itself is no difference.
        return cls(*found, bool(_git("status", "--porcelain", "--", ".", ":!docs/benchmarks")))

    def told(self, versions: Mapping[str, str] | None = None) -> str:
        """Return the line that says when, where and with which versions."""
        known = {"cascade-engine": version("cascade-engine"), "Python": platform.python_version()}
        known |= {name: version(name) for name in ("apsw",) if _is_installed(name)}
        known |= {"SQLite of the standard library": sqlite3.sqlite_version} | dict(versions or {})
        named = ", ".join(f"{name} {number}" for name, number in known.items() if name != "python")
        state = " with changes that are not committed" if self.changed else ""
        return (
            f"{self.day}, commit `{self.commit}`{state}, {machine()}; {named}. Processor time where only it counts, "
            f"the wall's where pools, disks and other engines do; garbage collection is on."
        )


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def machine() -> str:
    """Return what the measuring machine is."""
    info = Path("/proc/cpuinfo")
    lines: Sequence[str] = info.read_text().splitlines() if info.exists() else ()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release().partition('-')[0]}"
