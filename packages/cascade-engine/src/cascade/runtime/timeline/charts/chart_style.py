"""The style of charts: colours in light and dark."""

from __future__ import annotations

_LIGHT = {
    "paper": "#ffffff",
    "ink": "#1f2328",
    "faint": "#59636e",
    "line": "#e3e8ed",
    "map": "#dfe9f7",
    "wait": "#a3adb8",
    "succeeded": "#4ba66a",
    "failed": "#d1352b",
    "cancelled": "#c77d0a",
    "running": "#2f7fd6",
}
_DARK = {
    "paper": "#161b22",
    "ink": "#e6edf3",
    "faint": "#9ba6b2",
    "line": "#2c333c",
    "map": "#233652",
    "wait": "#66707c",
    "succeeded": "#3f9a5a",
    "failed": "#f0564c",
    "cancelled": "#d9942a",
    "running": "#4493f8",
}


def _colours(of: dict[str, str]) -> str:
    """Return the rules that a colour scheme sets. Plain colours, since not every viewer knows variables."""
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
    ".cs-chart{font-family:system-ui,-apple-system,'Segoe UI','DejaVu Sans',sans-serif}"
    ".cs-chart text{font-size:13px}"
    ".cs-chart text.cs-small{font-size:11px}"
    ".cs-chart text.cs-tick{text-anchor:middle}"
    ".cs-chart .cs-retry{stroke-width:2;fill:none}"
    f"{_colours(_LIGHT)}"
    f"@media (prefers-color-scheme: dark){{{_colours(_DARK)}}}"
)
