"""`draw`: makes a picture of a lazy result, a graph, a plan or a timeline. Nothing runs."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from cascade.graph.build import build_graph
from cascade.graph.drawing.formats.svg import to_svg
from cascade.graph.drawing.layout.dot_layout import place_with_dot
from cascade.graph.drawing.layout.layered_layout import place_in_layers
from cascade.graph.drawing.layout.placing import Ends, Placed, Size
from cascade.graph.drawing.picture import Picture
from cascade.graph.drawing.sketches import Marks
from cascade.graph.drawing.sketching import sketch_of
from cascade.graph.model import Graph
from cascade.graph.planning.plans import Plan


@runtime_checkable
class Drawable(Protocol):
    """What draws itself, as a timeline does."""

    def draw(self) -> Picture:
        """Return a picture of this."""
        ...


def draw(target: object, marks: Marks | None = None, *, use_dot: bool = True) -> Picture:
    """Return a picture of a lazy result, a graph, a plan or a timeline; notebooks show it, `Picture.save` writes it.

    `marks` tell what became of the calls, by node id, and give the boxes their colours; `Timeline.marks` has those of a
    run. Graphviz places the boxes where it is installed; with `use_dot=False` the picture is the same on every machine.
    Takes O(nodes + edges); a large graph is folded to some hundred boxes.

    Raises:
        NotLazyError: If the target is none of these.
    """
    if isinstance(target, Plan):
        target = target.graph
    elif isinstance(target, Drawable):
        return target.draw()
    graph = target if isinstance(target, Graph) else build_graph(target)
    title = graph.target.name if len(graph) else "an empty graph"
    sketch = sketch_of(graph, marks or {})
    return Picture(to_svg(sketch, _place if use_dot else place_in_layers, title), title)


def _place(sizes: list[Size], arrows: list[Ends]) -> Placed:
    """Place boxes by `dot` where it is installed, and in layers of our own elsewhere."""
    return place_with_dot(sizes, arrows) or place_in_layers(sizes, arrows)
