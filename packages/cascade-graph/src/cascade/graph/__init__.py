"""The graph of a workflow: how it is built, planned, analysed, drawn and written as JSON. Nothing here runs a task.

Its names are imported when they are first used: a run needs few of them, and those of `analysis.networks` need
networkx, which takes long to load.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cascade.graph.analysis.networks import critical_path, cycles, to_networkx
    from cascade.graph.analysis.tail_call_edges import with_tail_calls
    from cascade.graph.analysis.tail_calls import tail_calls
    from cascade.graph.build import build_graph
    from cascade.graph.drawing.draw import draw
    from cascade.graph.drawing.formats.dot import to_dot
    from cascade.graph.drawing.formats.mermaid import to_mermaid
    from cascade.graph.drawing.picture import FileFormat, Picture
    from cascade.graph.drawing.sketches import Mark, Status
    from cascade.graph.drawing.visualize import Format, visualize
    from cascade.graph.graph_errors import CycleError, GraphError, MissingRasteriserError, UnknownFormatError
    from cascade.graph.model import Graph
    from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
    from cascade.graph.path import StructurePath
    from cascade.graph.planning import Plan, plan, stages
    from cascade.graph.serialisation import from_json, to_json
    from cascade.graph.structure_digests import structure_digest
    from cascade.spec.policies.pictures import NodePolicies, NodeRetry

_HOMES = {
    "cascade.graph.analysis.networks": (
        "critical_path",
        "cycles",
        "to_networkx",
    ),
    "cascade.graph.analysis.tail_call_edges": ("with_tail_calls",),
    "cascade.graph.analysis.tail_calls": ("tail_calls",),
    "cascade.graph.build": ("build_graph",),
    "cascade.graph.drawing.formats.dot": ("to_dot",),
    "cascade.graph.drawing.draw": ("draw",),
    "cascade.graph.drawing.formats.mermaid": ("to_mermaid",),
    "cascade.graph.drawing.picture": (
        "FileFormat",
        "Picture",
    ),
    "cascade.graph.drawing.sketches": (
        "Mark",
        "Status",
    ),
    "cascade.graph.drawing.visualize": (
        "Format",
        "visualize",
    ),
    "cascade.graph.graph_errors": (
        "CycleError",
        "GraphError",
        "MissingRasteriserError",
        "UnknownFormatError",
    ),
    "cascade.graph.model": ("Graph",),
    "cascade.graph.nodes": (
        "Edge",
        "EdgeType",
        "Node",
        "NodeType",
    ),
    "cascade.graph.path": ("StructurePath",),
    "cascade.graph.planning": (
        "Plan",
        "plan",
        "stages",
    ),
    "cascade.graph.serialisation": (
        "from_json",
        "to_json",
    ),
    "cascade.graph.structure_digests": ("structure_digest",),
    "cascade.spec.policies.pictures": (
        "NodePolicies",
        "NodeRetry",
    ),
}

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CycleError",
    "Edge",
    "EdgeType",
    "FileFormat",
    "Format",
    "Graph",
    "GraphError",
    "Mark",
    "MissingRasteriserError",
    "Node",
    "NodePolicies",
    "NodeRetry",
    "NodeType",
    "Picture",
    "Plan",
    "Status",
    "StructurePath",
    "UnknownFormatError",
    "build_graph",
    "critical_path",
    "cycles",
    "draw",
    "from_json",
    "plan",
    "stages",
    "structure_digest",
    "tail_calls",
    "to_dot",
    "to_json",
    "to_mermaid",
    "to_networkx",
    "visualize",
    "with_tail_calls",
]


if not TYPE_CHECKING:  # hidden from type checkers, for whom every misspelt name would be found here

    def __getattr__(name):
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(home), name)
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
