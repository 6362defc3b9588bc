"""Errors of the graph wheel."""

from __future__ import annotations

from cascade.spec.errors import CascadeError
from cascade.spec.inputs.words import listed
from cascade.spec.late_dataclasses import dataclass


@dataclass(eq=False)
class GraphError(CascadeError, ValueError):
    """A graph that can't be: it was put together wrong, or read from a text that is no graph. `problem` says how."""

    problem: str

    def __str__(self) -> str:
        return self.problem


@dataclass(eq=False)
class CycleError(CascadeError, ValueError):
    """Nodes that wait for each other. `names` are the tasks on one cycle, in the direction of its edges."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        way = " -> ".join((*self.names, self.names[0]))
        return f"tasks wait for each other: {way}; take one of these edges away"


@dataclass(eq=False)
class UnknownFormatError(CascadeError, ValueError):
    """A format that graphs can't be drawn in: `wanted`. `known` are those that there are."""

    wanted: str
    known: tuple[str, ...]

    def __str__(self) -> str:
        return f"unknown format {self.wanted!r}; use one of {listed(self.known)}"


class MissingRasteriserError(CascadeError, ImportError):
    """A picture is wanted as PNG, and the package that turns SVG into pixels is not installed."""

    def __str__(self) -> str:
        return "PNG needs resvg: pip install 'cascade-graph[png]'; SVG and HTML need nothing"
