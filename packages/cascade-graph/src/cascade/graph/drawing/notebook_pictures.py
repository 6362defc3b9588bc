"""Pictures for notebooks: what the entry-point group `cascade.reprs` leads to, for lazy results, graphs and plans."""

from __future__ import annotations

from cascade.graph.drawing.draw import draw
from cascade.graph.drawing.picture import SVG_TYPE


def picture_of(shown: object) -> dict[str, str]:
    """Return the picture of a lazy result, a router, a graph or a plan, by its media type.

    Raises:
        CascadeError: If its tree makes no sense.
    """
    return {SVG_TYPE: draw(shown).svg}
