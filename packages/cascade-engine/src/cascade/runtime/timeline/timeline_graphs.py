"""Graphs of a timeline: the trees that a run has run, as graphs, and what became of their calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from cascade.graph.drawing.sketches import Mark
from cascade.graph.model import Graph
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.tree import Call as Waits
from cascade.graph.tree import Choice, Structure
from cascade.graph.tree_views import node_id
from cascade.runtime.timeline.call_marks import marks_of
from cascade.runtime.timeline.ended_calls import EndedCalls
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.runtime.timeline.views import TreeView


class MarkedGraph(NamedTuple):
    """A graph, and what became of its calls by node id."""

    graph: Graph
    marks: dict[str, Mark]


def marked_graph(run: RunTimeline, ended: EndedCalls, number: int = 0) -> MarkedGraph | None:
    """Return the tree of this number as a graph with marks; `None` if the timeline does not have it."""
    tree = next((each for each in ended.trees if each.number == number), None)
    if tree is None:
        return None
    maps = {each.place.node for each in run.maps() if each.place.tree == number}
    nodes = [
        Node(node_id(node), name, NodeType.MAP if node in maps else NodeType.TASK)
        for node, name in enumerate(tree.names)
    ]
    graph = Graph(nodes, [*edges_of(tree)], node_id(tree.structure.target))
    return MarkedGraph(graph, marks_of(run, ended, number))


SELECTOR = "selector"
"""The label of an edge from what chooses a route; those of its routes follow."""


class Link(NamedTuple):
    """An edge between two positions of a structure."""

    source: int
    target: int
    kind: EdgeType = EdgeType.DATA
    label: str = ""


def edges_of(tree: TreeView) -> Iterator[Edge]:
    """Give the edges of a tree, by target. Names of arguments are not known any more."""
    for source, target, kind, label in links_of(tree.structure):
        yield Edge(node_id(source), node_id(target), kind, label)


def links_of(structure: Structure) -> Iterator[Link]:
    """Give the edges of a structure, by target; those of a router stand together, its selector first."""
    for target, waits in enumerate(structure.calls):
        for before in structure.predecessors(target):
            yield Link(before, target, EdgeType.SEQUENCE)
        yield from _links_to(target, waits)


def _links_to(target: int, waits: Waits) -> Iterator[Link]:
    for condition in waits.conditions:
        yield Link(condition, target, EdgeType.CONDITION)
    for name, amount in waits.amounts:
        yield Link(amount, target, EdgeType.CONSTRAINT, name)
    for source in waits.sources:
        if isinstance(source, int):
            yield Link(source, target)
        elif isinstance(source, Choice):
            yield Link(source.selector, target, EdgeType.DATA, SELECTOR)
            for key, route in zip(source.keys, source.routes, strict=True):
                yield Link(route, target, EdgeType.ROUTER_ROUTE, repr(key))
