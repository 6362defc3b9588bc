"""Labels: the words on a drawing, before a format escapes them."""

from __future__ import annotations

from cascade.graph.nodes import Edge, EdgeType


def caption(edge: Edge) -> str:
    """Return what stands at an edge: its label, or else a word for its type; empty for a plain data edge."""
    return edge.label or _CAPTIONS[edge.edge_type]


def printable(character: str) -> str:
    """Return a character, or U+FFFD in place of one that no file of text should hold.

    Such are control characters other than a line break, and halves of surrogate pairs, which have no UTF-8.
    """
    is_control = (character < " " and character != "\n") or "\x7f" <= character <= "\x9f"
    is_half = "\ud800" <= character <= "\udfff"
    return "\N{REPLACEMENT CHARACTER}" if is_control or is_half else character


_CAPTIONS = {
    EdgeType.DATA: "",
    EdgeType.CONDITION: "if",
    EdgeType.CONSTRAINT: "amount",
    EdgeType.SEQUENCE: "then",
    EdgeType.ROUTER_ROUTE: "route",
    EdgeType.POTENTIAL: "may call",
}
