"""Placing: where the boxes and arrows of a picture are."""

from __future__ import annotations

from cascade.spec.late_dataclasses import dataclass

Size = tuple[float, float]
"""Width and height, in pixels."""

Point = tuple[float, float]
"""How far to the right, and how far down."""

Ends = tuple[int, int]
"""The boxes that an arrow leads from and to, by position."""

Curve = tuple[Point, ...]
"""The way of an arrow, from the edge of one box to that of another, as cubic Bezier pieces.

It has a start, and three points for each piece: two that bend it, and its end. An arrow of a box to itself has none.
"""


@dataclass(frozen=True, slots=True)
class Placed:
    """Where boxes and arrows are: the centres of boxes, the ways of arrows, and the size of all."""

    centres: tuple[Point, ...]
    curves: tuple[Curve, ...]
    size: Size
