"""The style of charts: colours in light and dark."""

from __future__ import annotations

from cascade.graph.drawing.formats.colour_schemes import FONT, Colours, in_both

_LIGHT = {
    "line": "#e3e8ed",
    "map": "#dfe9f7",
    "wait": "#a3adb8",
    "succeeded": "#4ba66a",
    "failed": "#d1352b",
    "cancelled": "#c77d0a",
    "running": "#2f7fd6",
}
_DARK = {
    "line": "#2c333c",
    "map": "#233652",
    "wait": "#66707c",
    "succeeded": "#3f9a5a",
    "failed": "#f0564c",
    "cancelled": "#d9942a",
    "running": "#4493f8",
}


def _colours(of: Colours) -> str:
    """Return the rules that a colour scheme sets."""
    rules = [
        f".cs-chart .cs-paper{{fill:{of['paper']}}}",
        f".cs-chart text{{fill:{of['ink']}}}",
        f".cs-chart text.cs-small{{fill:{of['faint']}}}",
        f".cs-chart .cs-grid{{stroke:{of['line']}}}",
        f".cs-chart .cs-retry{{stroke:{of['failed']}}}",
    ]
    kinds = ("map", "wait", "succeeded", "failed", "cancelled", "running")
    rules += [f".cs-chart path.cs-{name}{{fill:{of[name]}}}" for name in kinds]
    return "".join(rules)


STYLE = (
    f".cs-chart{{{FONT}}}"
    ".cs-chart text{font-size:13px}"
    ".cs-chart text.cs-small{font-size:11px}"
    ".cs-chart text.cs-tick{text-anchor:middle}"
    ".cs-chart .cs-retry{stroke-width:2;fill:none}"
    f"{in_both(_colours, _LIGHT, _DARK)}"
)
