"""The graph of a workflow: how it is built, planned, analysed, drawn and written as JSON. Nothing here runs a task.

The names of `cascade.graph.analysis.networks` are imported when they are first used, since only they need networkx,
which takes long to load.
"""

from typing import TYPE_CHECKING

from cascade.graph.analysis.tail_call_edges import with_tail_calls
from cascade.graph.analysis.tail_calls import tail_calls
from cascade.graph.build import build_graph
from cascade.graph.drawing.dot import to_dot
from cascade.graph.drawing.draw import draw
from cascade.graph.drawing.mermaid import to_mermaid
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

if TYPE_CHECKING:
    from cascade.graph.analysis.networks import critical_path, cycles, to_networkx

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
        if name not in ("critical_path", "cycles", "to_networkx"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from cascade.graph.analysis import networks  # noqa: PLC0415 - loads networkx

        return getattr(networks, name)
