"""`visualize`: draws a graph, or a lazy result, in the format that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from cascade.graph.analysis.tail_call_edges import with_tail_calls
from cascade.graph.build import build_graph
from cascade.graph.drawing.formats.dot import to_dot
from cascade.graph.drawing.formats.mermaid import to_mermaid
from cascade.graph.graph_errors import UnknownFormatError
from cascade.graph.model import Graph
from cascade.spec.inputs.words import words_of


class Format(StrEnum):
    """The languages that a graph can be drawn in."""

    MERMAID = "mermaid"
    DOT = "dot"


def visualize(target: object, format: str | Format = Format.MERMAID) -> str:
    """Draw a graph as it is, or the graph of a lazy result with the tail calls that its tasks' source shows.

    Nothing runs. Takes O(nodes + edges).

    Raises:
        UnknownFormatError: If there is no such format; it lists those that there are.
        NotLazyError: If the target is neither a graph nor a lazy result.
    """
    try:
        draw = _WRITERS[Format(format)]
    except ValueError:
        raise UnknownFormatError(str(format), words_of(Format)) from None
    return draw(target if isinstance(target, Graph) else with_tail_calls(build_graph(target)))


_WRITERS: dict[Format, Callable[[Graph], str]] = {Format.MERMAID: to_mermaid, Format.DOT: to_dot}
