"""Labels: the words on a drawing, before a format escapes them."""

from __future__ import annotations

from cascade.graph.nodes import Edge, EdgeType


def caption(edge: Edge) -> str:
    """Return what stands at an edge: its label, or else a word for its type; empty for a plain data edge."""
    return edge.label or _CAPTIONS[edge.edge_type]


def printable(character: str) -> str:
    """Return a character, or U+FFFD in place of one that no file of text should hold.

    Such are control characters other than a line break, marks that turn the direction of the text behind them, halves
    of surrogate pairs, which have no UTF-8, and what Unicode says is no character, which XML refuses.
    """
    is_control = (character < " " and character != "\n") or "\x7f" <= character <= "\x9f"
    is_half = "\ud800" <= character <= "\udfff"
    is_none = ord(character) & 0xFFFE == 0xFFFE or "\ufdd0" <= character <= "\ufdef"
    is_bad = is_control or is_half or is_none or character in _TURNING
    return "\N{REPLACEMENT CHARACTER}" if is_bad else character


def one_line(text: str) -> str:
    """Return text on one line, with nothing in it that could not be shown."""
    return " ".join("".join(map(printable, text)).split())


def cut(text: str, most: int) -> str:
    """Return text of at most so many characters; where some are left out, dots say so."""
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def escape_xml(text: str) -> str:
    """Return text that stands for itself in SVG and HTML, also inside a quoted attribute."""
    plain = "".join(map(printable, text))
    for character, escaped in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("'", "&#39;")):
        plain = plain.replace(character, escaped)
    return plain


def short_time(seconds: float) -> str:
    """Return a duration in the unit that fits it: `250 us`, `1.2 ms`, `3.4 s`, `2 min 5 s`."""
    if seconds < 0.000_9995:
        return f"{seconds * 1e6:.0f} us"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""The marks of Unicode's bidirectional algorithm."""

_CAPTIONS = {
    EdgeType.DATA: "",
    EdgeType.CONDITION: "if",
    EdgeType.CONSTRAINT: "amount",
    EdgeType.SEQUENCE: "then",
    EdgeType.ROUTER_ROUTE: "route",
    EdgeType.POTENTIAL: "may call",
}
