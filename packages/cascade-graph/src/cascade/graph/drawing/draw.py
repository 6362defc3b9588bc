"""`draw`: makes a picture of a lazy result, a graph or a plan. Nothing runs."""

from __future__ import annotations

from cascade.graph.build import build_graph
from cascade.graph.drawing.picture import Picture
from cascade.graph.drawing.sketches import Marks
from cascade.graph.drawing.sketching import sketch_of
from cascade.graph.model import Graph
from cascade.graph.planning.plans import Plan


def draw(target: object, marks: Marks | None = None) -> Picture:
    """Return a picture of a lazy result, a graph or a plan; notebooks show it, and `Picture.save` writes it.

    `marks` tell what became of the calls, by node id, and give the boxes their colours. Takes O(nodes + edges); a large
    graph is folded to some hundred boxes.

    Raises:
        NotLazyError: If the target is none of these.
    """
    graph = target.graph if isinstance(target, Plan) else target
    graph = graph if isinstance(graph, Graph) else build_graph(graph)
    title = graph.target.name if len(graph) else "an empty graph"
    return Picture(sketch_of(graph, marks or {}), title)
