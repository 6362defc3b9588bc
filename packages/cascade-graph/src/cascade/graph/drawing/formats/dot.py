"""DOT: a graph in the language of Graphviz."""

from __future__ import annotations

from cascade.graph.drawing.labels import caption, printable
from cascade.graph.model import Graph
from cascade.graph.nodes import EdgeType, NodeType


def to_dot(graph: Graph) -> str:
    """Return a directed graph in DOT; a line per node, then one per edge.

    Nodes are named by position (`n0`, `n1`, ...), so that the user's text stands in labels only, escaped.
    """
    lines = ["digraph cascade {"]
    for position, node in enumerate(graph.nodes):
        lines.append(f'    n{position} [label="{escape_dot(node.name)}", shape={_SHAPES[node.node_type]}];')
    positions = graph.positions()
    for edge in graph.edges:
        ends = f"n{positions[edge.source]} -> n{positions[edge.target]}"
        lines.append(f'    {ends} [label="{escape_dot(caption(edge))}", {_STYLES[edge.edge_type]}];')
    lines.append("}")
    return "\n".join(lines) + "\n"


def escape_dot(text: str) -> str:
    """Return text for a quoted DOT label: a backslash, a quote, a line break or an entity stands for itself."""
    plain = "".join(map(printable, "\n".join(text.splitlines())))
    # The backslash comes first: the escapes of the others begin with one.
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("&", "&amp;"), ("\n", "\\n")):
        plain = plain.replace(character, escaped)
    return plain


_SHAPES = {
    NodeType.TASK: "box",
    NodeType.MAP: "box3d",
    NodeType.PARAM: "oval",
    NodeType.POTENTIAL: "hexagon",
}

_STYLES = {
    EdgeType.DATA: "style=solid",
    EdgeType.CONDITION: "style=dashed",
    EdgeType.CONSTRAINT: "style=solid, arrowhead=dot",
    EdgeType.SEQUENCE: "style=bold",
    EdgeType.ROUTER_ROUTE: "style=dashed, arrowhead=odot",
    EdgeType.POTENTIAL: "style=dotted, arrowhead=empty",
}
