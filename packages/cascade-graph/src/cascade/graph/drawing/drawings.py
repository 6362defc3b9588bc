"""Drawing: a graph as Mermaid or DOT text.

Nodes are drawn under names made here (`n0`, `n1`, ...), so the user's text stands in labels only, escaped.
"""

from __future__ import annotations

from enum import StrEnum

from cascade.graph.build import build_graph
from cascade.graph.drawing.potential import with_tail_calls
from cascade.graph.graph_errors import UnknownFormatError
from cascade.graph.model import Edge, EdgeType, Graph, NodeType


class Format(StrEnum):
    """The languages that a graph can be drawn in."""

    MERMAID = "mermaid"
    DOT = "dot"


def visualize(target: object, format: str | Format = Format.MERMAID) -> str:
    """Draw a graph as it is, or the graph of a lazy result with the tail calls that its tasks' source shows.

    Nothing runs.

    Raises:
        UnknownFormatError: If there is no such format; it lists them.
        NotLazyError: If the target is neither a graph nor a lazy result.
    """
    try:
        draw = _DRAW[Format(format)]
    except ValueError:
        raise UnknownFormatError(str(format), tuple(each.value for each in Format)) from None
    return draw(target if isinstance(target, Graph) else with_tail_calls(build_graph(target)))


def to_mermaid(graph: Graph) -> str:
    """Return a Mermaid flowchart."""
    lines = ["flowchart TD"]
    for position, node in enumerate(graph.nodes):
        opening, closing = _MERMAID_SHAPES[node.node_type]
        lines.append(f'    n{position}{opening}"{escape_mermaid(node.name) or " "}"{closing}')
    positions = graph.positions()
    for edge in graph.edges:
        caption = escape_mermaid(_caption(edge))
        shown = f'|"{caption}"|' if caption else ""
        arrow = _MERMAID_ARROWS[edge.edge_type]
        lines.append(f"    n{positions[edge.source]} {arrow}{shown} n{positions[edge.target]}")
    return "\n".join(lines) + "\n"


def to_dot(graph: Graph) -> str:
    """Return a graph in Graphviz' DOT language."""
    lines = ["digraph cascade {"]
    for position, node in enumerate(graph.nodes):
        lines.append(
            f'    n{position} [label="{escape_dot(node.name)}", shape={_DOT_SHAPES[node.node_type]}];'
        )
    positions = graph.positions()
    for edge in graph.edges:
        ends = f"n{positions[edge.source]} -> n{positions[edge.target]}"
        lines.append(f'    {ends} [label="{escape_dot(_caption(edge))}", {_DOT_STYLES[edge.edge_type]}];')
    lines.append("}")
    return "\n".join(lines) + "\n"


def escape_mermaid(text: str) -> str:
    """Return text for a quoted Mermaid label: lines joined by breaks, all but plain characters as `#code;`.

    Quotes, brackets, HTML, Markdown (a dot or dash may make a list) and Mermaid's own codes lose their meaning. So
    does the colon: Mermaid takes a line with `style` and a colon for a style, and eats a semicolon. So does the blank
    after `direction`: Mermaid takes a line with `direction LR` anywhere in it, in quotes too, for that statement.
    """
    plain = "<br/>".join("".join(map(_mermaid_character, line)) for line in text.splitlines())
    return plain.replace("direction ", f"direction#{ord(' ')};")


def escape_dot(text: str) -> str:
    """Return text for a quoted DOT label: a backslash, a quote, a line break or an entity stands for itself."""
    plain = "".join(map(_printable, "\n".join(text.splitlines())))
    for character, escaped in (("\\", "\\\\"), ('"', '\\"'), ("&", "&amp;"), ("\n", "\\n")):
        plain = plain.replace(character, escaped)
    return plain


def _mermaid_character(character: str) -> str:
    plain = character.isalnum() or character in " _,"
    return character if plain else f"#{ord(_printable(character))};"


def _printable(character: str) -> str:
    """Return the character; a control character or half of a surrogate pair is replaced."""
    allowed = character == "\n" or (
        character >= " " and not "\x7f" <= character <= "\x9f" and not _is_half(character)
    )
    return character if allowed else "\N{REPLACEMENT CHARACTER}"


def _is_half(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _caption(edge: Edge) -> str:
    return edge.label or _CAPTIONS[edge.edge_type]


_DRAW = {Format.MERMAID: to_mermaid, Format.DOT: to_dot}

_CAPTIONS = {
    EdgeType.DATA: "",
    EdgeType.CONDITION: "if",
    EdgeType.CONSTRAINT: "amount",
    EdgeType.SEQUENCE: "then",
    EdgeType.ROUTER_ROUTE: "route",
    EdgeType.POTENTIAL: "may call",
}

_MERMAID_SHAPES = {
    NodeType.TASK: ("[", "]"),
    NodeType.MAP: ("[[", "]]"),
    NodeType.PARAM: ("([", "])"),
    NodeType.POTENTIAL: ("{{", "}}"),
}

_MERMAID_ARROWS = {
    EdgeType.DATA: "-->",
    EdgeType.CONDITION: "-.->",
    EdgeType.CONSTRAINT: "--o",
    EdgeType.SEQUENCE: "==>",
    EdgeType.ROUTER_ROUTE: "-.-o",
    EdgeType.POTENTIAL: "-.-x",
}

_DOT_SHAPES = {
    NodeType.TASK: "box",
    NodeType.MAP: "box3d",
    NodeType.PARAM: "oval",
    NodeType.POTENTIAL: "hexagon",
}

_DOT_STYLES = {
    EdgeType.DATA: "style=solid",
    EdgeType.CONDITION: "style=dashed",
    EdgeType.CONSTRAINT: "style=solid, arrowhead=dot",
    EdgeType.SEQUENCE: "style=bold",
    EdgeType.ROUTER_ROUTE: "style=dashed, arrowhead=odot",
    EdgeType.POTENTIAL: "style=dotted, arrowhead=empty",
}
