"""The style of pictures: colours in light and dark, arrow heads, and how wide text is."""

from __future__ import annotations

import unicodedata
from typing import Final

from cascade.graph.drawing.formats.colour_schemes import FONT, Colours, in_both

line_height: Final = 17.0
"""The height of one line of text, in pixels."""

_NAME, _SMALL = 13, 11
_BROAD = frozenset("mwMW@%\N{HORIZONTAL ELLIPSIS}")
_NARROW = frozenset("iljtfrI1.,:;'|!()[] ")


def text_width(text: str, small: bool = False) -> float:
    """Return about how many pixels a text takes; a little more rather than less, as fonts differ."""
    size = _SMALL if small else _NAME
    return size * sum(map(_width_of, text))


def _width_of(character: str) -> float:
    if unicodedata.east_asian_width(character) in ("W", "F"):
        return 1.05
    if character in _BROAD or character.isupper():
        return 0.85
    return 0.36 if character in _NARROW else 0.6


def _head(name: str, box: tuple[int, int], tip: int, size: tuple[int, int], shape: str) -> str:
    """Return an arrow head whose tip is at `tip` in its own box, and that is drawn in this size."""
    (width, height), (drawn, high) = box, size
    return (
        f'<marker id="cs-{name}" viewBox="0 0 {width} {height}" refX="{tip}" refY="{height // 2}" '
        f'markerWidth="{drawn}" markerHeight="{high}" orient="auto" markerUnits="userSpaceOnUse">{shape}</marker>'
    )


ARROW_HEADS = "".join(
    (
        _head("head", (8, 8), 7, (9, 9), '<path class="cs-head" d="M0 0L8 4L0 8z"/>'),
        _head("open", (8, 8), 7, (10, 10), '<path class="cs-open" d="M0.5 0.5L7 4L0.5 7.5"/>'),
        _head("diamond", (10, 8), 9, (13, 11), '<path class="cs-open" d="M0.5 4L5 0.8L9.5 4L5 7.2z"/>'),
        _head("dot", (8, 8), 7, (8, 8), '<circle class="cs-head" cx="4" cy="4" r="3.5"/>'),
    )
)

_LIGHT = {
    "note": "#4b5560",
    "fill": "#f6f8fa",
    "task": "#eef4ff",
    "running": "#b6d9ff",
    "succeeded": "#c6f0cf",
    "cached": "#c3ecee",
    "skipped": "#e4e7eb",
    "failed": "#ffc9c4",
    "cancelled": "#ffdfb0",
}
_DARK = {
    "note": "#c6d0da",
    "fill": "#21262d",
    "task": "#1c2b41",
    "running": "#0c4a80",
    "succeeded": "#17502a",
    "cached": "#0f4a52",
    "skipped": "#343b44",
    "failed": "#7d2320",
    "cancelled": "#6b4a10",
}


def _colours(of: Colours) -> str:
    """Return the rules that a colour scheme sets."""
    rules = [
        f".cs-paper{{fill:{of['paper']}}}",
        f".cs-picture text{{fill:{of['ink']}}}",
        f".cs-picture .cs-small{{fill:{of['faint']}}}",
        f".cs-picture .cs-inside.cs-small{{fill:{of['note']}}}",
        f".cs-picture .cs-caption{{stroke:{of['paper']}}}",
        f".cs-outline{{stroke:{of['faint']};fill:{of['fill']}}}",
        f".cs-task .cs-outline,.cs-map .cs-outline{{fill:{of['task']}}}",
        f".cs-arrow,.cs-open{{stroke:{of['faint']};fill:none}}",
        f".cs-head{{fill:{of['faint']};stroke:none}}",
    ]
    statuses = ("running", "succeeded", "cached", "skipped", "failed", "cancelled")
    rules += [f".cs-{name} > .cs-outline{{fill:{of[name]}}}" for name in statuses]
    return "".join(rules)


STYLE = (
    f".cs-picture{{{FONT}}}"
    f".cs-picture text{{font-size:{_NAME}px}}"
    f".cs-picture .cs-small{{font-size:{_SMALL}px}}"
    ".cs-picture .cs-caption{stroke-width:3px;paint-order:stroke}"
    ".cs-box text.cs-inside{text-anchor:middle}"
    ".cs-outline{stroke-width:1.2}"
    ".cs-potential .cs-outline{stroke-dasharray:4 3}"
    ".cs-arrow{stroke-width:1.3;marker-end:url(#cs-head)}"
    ".cs-condition{stroke-dasharray:6 3;marker-end:url(#cs-diamond)}"
    ".cs-route{stroke-dasharray:6 3;marker-end:url(#cs-open)}"
    ".cs-order{stroke-width:2.4}"
    ".cs-amount{marker-end:url(#cs-dot)}"
    ".cs-tail_call{stroke-dasharray:2 3;marker-end:url(#cs-open)}"
    f"{in_both(_colours, _LIGHT, _DARK)}"
)
