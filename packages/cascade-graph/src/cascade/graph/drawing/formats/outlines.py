"""Outlines: the shape of each kind of box, as an SVG element."""

from __future__ import annotations

from cascade.graph.drawing.layout.placing import Size
from cascade.graph.drawing.sketches import Shape

_STACK = 4.0


def outline(shape: Shape, size: Size, stacked: bool) -> str:
    """Return the outline of a box, with its upper left corner at the origin; a `stacked` one stands for many."""
    width, height = size
    drawn = ""
    if stacked or shape is Shape.MAP:
        # Below, since arrow heads lead to the upper edge.
        behind = f'x="{_STACK}" y="{_STACK}" width="{width:.1f}" height="{height:.1f}"'
        drawn = f'<rect class="cs-outline" {behind} rx="4"/>'
    if shape is Shape.ROUTER:
        middle = height / 2
        corner = min(12.0, width / 4)
        points = (
            f"0,{middle:.1f} {corner:.1f},0 {width - corner:.1f},0 {width:.1f},{middle:.1f} "
            f"{width - corner:.1f},{height:.1f} {corner:.1f},{height:.1f}"
        )
        return drawn + f'<polygon class="cs-outline" points="{points}"/>'
    if shape is Shape.POTENTIAL:
        corner = min(8.0, width / 4)
        points = (
            f"{corner:.1f},0 {width - corner:.1f},0 {width:.1f},{corner:.1f} {width:.1f},{height - corner:.1f} "
            f"{width - corner:.1f},{height:.1f} {corner:.1f},{height:.1f} 0,{height - corner:.1f} 0,{corner:.1f}"
        )
        return drawn + f'<polygon class="cs-outline" points="{points}"/>'
    radius = {Shape.INPUT: height / 2, Shape.INTERNAL: 10.0}.get(shape, 4.0)
    return drawn + f'<rect class="cs-outline" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}"/>'
