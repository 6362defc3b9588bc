"""Pictures, by matplotlib: it is in the observatory's environment only, and nothing else imports it."""

from __future__ import annotations

import importlib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from observatory.results import Line

matplotlib: Any = importlib.import_module("matplotlib")
matplotlib.use("Agg")
pyplot: Any = importlib.import_module("matplotlib.pyplot")
ticker: Any = importlib.import_module("matplotlib.ticker")

SHAPES = {"map": ("#c2410c", "-"), "fan-out": ("#1d4ed8", "-"), "loop": ("#15803d", "-")}
"""Those of the chart over sizes."""

OURS = {"Cascade, again": ("#c2410c", "-"), "Cascade, cold": ("#fb923c", "-"), "the limit": ("#404040", "--")}
"""Colour and line of what is ours."""

OTHERS = {
    "bare pool": "#525252",
    "bare sqlite3": "#525252",
    "dask": "#be185d",
    "dbos": "#b91c1c",
    "joblib": "#0369a1",
    "langgraph": "#7c3aed",
    "pipefunc": "#1d4ed8",
    "prefect": "#000000",
    "pydantic-graph": "#a16207",
    "redun": "#64748b",
    "sf-hamilton": "#0e7490",
    "tawazi": "#15803d",
}
"""A peer has the same colour in every picture."""


def draw_lines(title: str, unit: str, lines: Sequence[Line], path: Path) -> None:
    """Draw microseconds a unit over size, both logarithmic, each line named at its right end."""
    figure, axes = pyplot.subplots(figsize=(9, 5.5), layout="constrained")
    ends: list[tuple[str, float, str]] = []
    for line in lines:
        if not line.points:
            continue
        ours = OURS.get(line.name) or SHAPES.get(line.name)
        colour, style = ours or (OTHERS.get(line.name, "#a3a3a3"), "-")
        sizes, values = zip(*line.points, strict=True)
        axes.plot(
            sizes, values, style, color=colour, marker="o", markersize=4, linewidth=2.4 if ours else 1.3
        )
        ends.append((f"{line.name}  {_short(values[-1])} at {sizes[-1]:,}", values[-1], colour))
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("size")
    axes.set_ylabel(f"microseconds per {unit}")
    axes.set_title(title, loc="left", fontsize=11)
    axes.grid(visible=True, which="major", color="#e5e5e5")
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    _name_ends(axes, ends)
    _save(figure, path)


def _name_ends(axes: Any, ends: list[tuple[str, float, str]]) -> None:
    """Write the names beside the plot, in the order of the lines' ends and apart from each other."""
    low, high = axes.get_ylim()
    span = math.log10(high / low)
    places: list[float] = []
    for name, value, colour in sorted(ends, key=lambda end: end[1]):
        place = math.log10(value / low) / span
        if places:
            place = max(place, places[-1] + 0.05)
        places.append(place)
        axes.text(1.01, place, name, color=colour, transform=axes.transAxes, va="center", fontsize=9)


def draw_bars(title: str, unit: str, bars: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw groups of bars: the values of each group by name."""
    names = list(dict.fromkeys(name for group in bars.values() for name in group))
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    width = 0.8 / len(names)
    colours = ("#737373", "#c2410c", "#fb923c", "#1d4ed8")
    for place, name in enumerate(names):
        at = [index + place * width for index, group in enumerate(bars.values()) if name in group]
        values = [group[name] for group in bars.values() if name in group]
        drawn = axes.bar(at, values, width * 0.95, label=name, color=colours[place % len(colours)])
        axes.bar_label(drawn, [_short(value) for value in values], fontsize=9)
    axes.set_xticks([index + 0.4 - width / 2 for index in range(len(bars))], list(bars))
    axes.set_ylabel(unit)
    axes.set_title(title, loc="left", fontsize=11)
    axes.margins(y=0.12)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_order(orders: Mapping[str, Sequence[float]], tick: float, path: Path) -> None:
    """Draw the order parameter of swarms of fireflies over their time."""
    figure, axes = pyplot.subplots(figsize=(9, 4.5), layout="constrained")
    for (name, order), colour in zip(orders.items(), ("#64748b", "#fb923c", "#c2410c"), strict=False):
        axes.plot([tick * each for each in range(len(order))], order, color=colour, linewidth=1.8)
        axes.text(tick * len(order), order[-1], f" {name}", color=colour, va="center", fontsize=9)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds of the fireflies' time")
    axes.set_ylabel("order parameter: 1 is in step")
    axes.set_title("Fireflies, each a task that returns its own next call", loc="left", fontsize=11)
    axes.grid(visible=True, color="#e5e5e5")
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _save(figure: Any, path: Path) -> None:
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
