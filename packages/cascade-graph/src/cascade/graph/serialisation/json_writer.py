"""JSON writer: the picture of a graph as JSON.

The picture has names, kinds, structure paths, policies, and edges with their labels; labels have the keys of routes.
It has no function, no argument, no amount, and no value or default of an input.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from cascade.graph.model import Graph
from cascade.graph.node_policies import NO_NODE_POLICIES
from cascade.graph.path import PathTable, Segment
from cascade.graph.serialisation.json_schema import LATER_POLICIES, VERSION
from cascade.spec.policies.pictures import NodePolicies


def to_json(graph: Graph) -> str:
    """Return the picture of a graph as JSON. Equal pictures give equal texts. Takes O(nodes + edges)."""
    table = PathTable()
    nodes = [
        {
            "id": node.id,
            "name": node.name,
            "type": node.node_type.value,
            "path": table.row_of(node.structure_path),
            "mode": None if node.mode is None else node.mode.value,
            "tco_cycle_id": node.tco_cycle_id,
            "policies": _policies(node.policies),
        }
        for node in graph.nodes
    ]
    edges = [
        {"source": edge.source, "target": edge.target, "type": edge.edge_type.value, "label": edge.label}
        for edge in graph.edges
    ]
    target = graph.target.id if nodes else None
    paths = [_path_row(parent, segment) for parent, segment in table.rows]
    return json.dumps({"version": VERSION, "target": target, "paths": paths, "nodes": nodes, "edges": edges})


def _path_row(parent: int | None, segment: Segment | None) -> dict[str, object]:
    """Return the row of a path: the number of its parent's row, and its segment; the root has neither."""
    if segment is None:
        return {"parent": parent, "segment": None}
    return {
        "parent": parent,
        "segment": {"place": segment.place.value, "at": segment.at, "steps": segment.steps},
    }


def _policies(policies: NodePolicies) -> dict[str, object] | None:
    """Return the fields of policies; those that came after the first release only where something is given."""
    if policies == NO_NODE_POLICIES:
        return None
    without = {name for name, default in LATER_POLICIES.items() if getattr(policies, name) == default}
    return {name: value for name, value in asdict(policies).items() if name not in without}
