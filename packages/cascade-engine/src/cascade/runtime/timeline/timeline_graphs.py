"""Graphs of a timeline: the trees that a run has run, as graphs, and what became of their calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cascade.graph.drawing.sketches import Mark
from cascade.graph.model import Graph
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.tree import Call as Waits
from cascade.graph.tree import Choice
from cascade.graph.tree_views import node_id
from cascade.runtime.timeline.call_marks import marks_of
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import TreeView


class MarkedGraph(NamedTuple):
    """A graph, and what became of its calls by node id."""

    graph: Graph
    marks: dict[str, Mark]


def marked_graph(run: RunTimeline, number: int = 0) -> MarkedGraph | None:
    """Return the tree of this number as a graph with marks; `None` if the timeline does not have it."""
    tree = next((each for each in run.trees() if each.number == number), None)
    if tree is None:
        return None
    maps = {each.place.node for each in run.maps() if each.place.tree == number}
    nodes = [
        Node(node_id(node), name, NodeType.MAP if node in maps else NodeType.TASK)
        for node, name in enumerate(tree.names)
    ]
    graph = Graph(nodes, [*edges_of(tree)], node_id(tree.structure.target))
    return MarkedGraph(graph, marks_of(run, number))


def edges_of(tree: TreeView) -> Iterator[Edge]:
    """Give the edges of a tree, by target. Names of arguments are not known any more."""
    for position, waits in enumerate(tree.structure.calls):
        target = node_id(position)
        for before in tree.structure.predecessors(position):
            yield Edge(node_id(before), target, EdgeType.SEQUENCE)
        yield from _edges_to(target, waits)


def _edges_to(target: str, waits: Waits) -> Iterator[Edge]:
    for condition in waits.conditions:
        yield Edge(node_id(condition), target, EdgeType.CONDITION)
    for name, amount in waits.amounts:
        yield Edge(node_id(amount), target, EdgeType.CONSTRAINT, name)
    for source in waits.sources:
        if isinstance(source, int):
            yield Edge(node_id(source), target)
        elif isinstance(source, Choice):
            yield Edge(node_id(source.selector), target, EdgeType.DATA, "selector")
            for key, route in zip(source.keys, source.routes, strict=True):
                yield Edge(node_id(route), target, EdgeType.ROUTER_ROUTE, repr(key))
