"""Mermaid: a graph as a flowchart in Mermaid's language, which GitHub and many editors show."""

from __future__ import annotations

from cascade.graph.drawing.labels import caption, printable
from cascade.graph.model import Graph
from cascade.graph.nodes import EdgeType, NodeType


def to_mermaid(graph: Graph) -> str:
    """Return a Mermaid flowchart, from the top down; a line per node, then one per edge.

    Nodes are named by position (`n0`, `n1`, ...), so that the user's text stands in labels only, escaped.
    """
    lines = ["flowchart TD"]
    for position, node in enumerate(graph.nodes):
        opening, closing = _SHAPES[node.node_type]
        # Mermaid takes an empty label for a mistake.
        lines.append(f'    n{position}{opening}"{escape_mermaid(node.name) or " "}"{closing}')
    positions = graph.positions()
    for edge in graph.edges:
        text = escape_mermaid(caption(edge))
        shown = f'|"{text}"|' if text else ""
        arrow = _ARROWS[edge.edge_type]
        lines.append(f"    n{positions[edge.source]} {arrow}{shown} n{positions[edge.target]}")
    return "\n".join(lines) + "\n"


def escape_mermaid(text: str) -> str:
    """Return text for a quoted Mermaid label: lines joined by breaks, all but plain characters as `#code;`.

    So quotes, brackets, HTML, Markdown (a dot or a dash may begin a list) and Mermaid's own codes lose their meaning.
    """
    # Two oddities of Mermaid's parser, which reads some statements inside quotes too: a line with `style` and a colon
    # is a style, and the word `direction` followed by a blank is a statement. The colon is no plain character, and
    # that blank is replaced here.
    plain = "<br/>".join("".join(map(_escaped, line)) for line in text.splitlines())
    return plain.replace("direction ", f"direction#{ord(' ')};")


def _escaped(character: str) -> str:
    is_plain = character.isalnum() or character in " _,"
    return character if is_plain else f"#{ord(printable(character))};"


_SHAPES = {
    NodeType.TASK: ("[", "]"),
    NodeType.MAP: ("[[", "]]"),
    NodeType.PARAM: ("([", "])"),
    NodeType.POTENTIAL: ("{{", "}}"),
}

_ARROWS = {
    EdgeType.DATA: "-->",
    EdgeType.CONDITION: "-.->",
    EdgeType.CONSTRAINT: "--o",
    EdgeType.SEQUENCE: "==>",
    EdgeType.ROUTER_ROUTE: "-.-o",
    EdgeType.POTENTIAL: "-.-x",
}
