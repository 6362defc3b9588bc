"""What the report is made of: points measured, and the tables that they make."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from observatory.drawing import Line
from observatory.workloads import Start, Workload

LIMIT = "the limit"


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


def short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def sitting(versions: dict[str, str]) -> str:
    """Return the line that says when, where and with which versions."""
    known = {"cascade-engine": version("cascade-engine"), "Python": platform.python_version()}
    named = ", ".join(f"{name} {number}" for name, number in (known | versions).items() if name != "python")
    return f"{datetime.now(UTC):%Y-%m-%d}, {machine()}; {named}."


def machine() -> str:
    """Return what the measuring machine is."""
    info = Path("/proc/cpuinfo")
    lines: Sequence[str] = info.read_text().splitlines() if info.exists() else ()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.processor() or platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release().partition('-')[0]}"
