"""Serialisation: a graph's picture as JSON, and back.

Written are names, kinds, structure paths, policies and edges with their labels, among them the keys of routes; no
function, no argument's value, no amount and no input's value or default. Structure paths are one table in which each
row continues another, so a deep chain takes a row per node. Reading imports and calls nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from enum import Enum
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cascade.graph.graph_errors import GraphError
from cascade.graph.model import Graph
from cascade.graph.node_policies import NO_NODE_POLICIES
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.path import PathTable, Place, Segment, StructurePath
from cascade.spec.inputs.words import listed, words_of
from cascade.spec.policies.declared import NodePolicies
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.retry import NodeRetry

VERSION = 2
"""The version of the schema, which `from_json` must find in what it reads."""

_Kind = TypeVar("_Kind", bound=Enum)
_Fields = TypeVar("_Fields")


def to_json(graph: Graph) -> str:
    """Return the picture of a graph as JSON; equal pictures give equal texts. Takes O(nodes + edges)."""
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


def from_json(text: str) -> Graph:
    """Read what `to_json` wrote: the graph's picture, equal to `graph.picture()`.

    Raises:
        GraphError: If the text is no JSON, of another version, or no graph; it says where.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise GraphError(f"the graph is not JSON: {problem}") from None
    version = _field(read, "version", "the graph", int)
    if version != VERSION:
        raise GraphError(
            f"the graph has schema version {version}, and this Cascade reads {VERSION}; write it anew"
        )
    paths = _read_paths(_field(read, "paths", "the graph", list))
    nodes = [_read_node(row, f"nodes[{at}]", paths) for at, row in _rows(read, "nodes")]
    edges = [_read_edge(row, f"edges[{at}]") for at, row in _rows(read, "edges")]
    return Graph(nodes, edges, _field(read, "target", "the graph", str, type(None)))


def _path_row(parent: int | None, segment: Segment | None) -> dict[str, Any]:
    if segment is None:
        return {"parent": parent, "segment": None}
    return {
        "parent": parent,
        "segment": {"place": segment.place.value, "at": segment.at, "steps": segment.steps},
    }


def _read_paths(rows: list[Any]) -> list[StructurePath]:
    paths: list[StructurePath] = []
    for at, row in enumerate(rows):
        where = f"paths[{at}]"
        parent = _field(row, "parent", where, int, type(None))
        shown = _field(row, "segment", where, dict, type(None))
        segment = None if shown is None else _read_segment(shown, where)
        paths.append(StructurePath(_row(paths, parent, "parent", where), segment))
    return paths


def _read_segment(row: dict[str, Any], where: str) -> Segment:
    steps = _field(row, "steps", where, list)
    if not all(type(step) is int for step in steps):
        raise GraphError(f"'steps' of {where} must hold whole numbers only")
    return Segment(_kind(row, "place", where, Place), _field(row, "at", where, int, str), tuple(steps))


def _read_node(row: object, where: str, paths: list[StructurePath]) -> Node:
    mode = _field(row, "mode", where, str, type(None))
    return Node(
        id=_field(row, "id", where, str),
        name=_field(row, "name", where, str),
        node_type=_kind(row, "type", where, NodeType),
        structure_path=_row(paths, _field(row, "path", where, int, type(None)), "path", where),
        mode=None if mode is None else _kind(row, "mode", where, Mode),
        tco_cycle_id=_field(row, "tco_cycle_id", where, str, type(None)),
        policies=_read_policies(_field(row, "policies", where, dict, type(None)), f"'policies' of {where}"),
    )


def _policies(policies: NodePolicies) -> dict[str, object] | None:
    """Return the fields of policies; those that came after the first release only where something is given."""
    if policies == NO_NODE_POLICIES:
        return None
    without = {name for name, default in _LATER.items() if getattr(policies, name) == default}
    return {name: value for name, value in asdict(policies).items() if name not in without}


_LATER = {field.name: field.default for field in fields(NodePolicies)[6:]}
"""The defaults of those fields that an older text does not have."""


def _read_policies(row: dict[str, Any] | None, where: str) -> NodePolicies:
    return NO_NODE_POLICIES if row is None else _read_fields({**_LATER, **row}, NodePolicies, where)


def _read_fields(row: dict[str, Any], cls: type[_Fields], where: str) -> _Fields:
    """Return a dataclass from an object that has its fields: numbers, texts, lists of texts, other such dataclasses."""
    return cls(**{name: _read_field(row, name, where, hint) for name, hint in _HINTS[cls].items()})


_HINTS: dict[type, dict[str, Any]] = {cls: get_type_hints(cls) for cls in (NodePolicies, NodeRetry)}
"""The types of the fields of what is read by its fields."""


def _read_field(row: dict[str, Any], name: str, where: str, hint: Any) -> object:
    if get_origin(hint) is tuple:
        return _names(row, name, where)
    kinds = get_args(hint) or (hint,)
    nested = [kind for kind in kinds if kind in _HINTS]
    if not nested:
        return _field(row, name, where, *((int, *kinds) if float in kinds else kinds))
    found = _field(row, name, where, dict, type(None))
    return None if found is None else _read_fields(found, nested[0], f"'{name}' of {where}")


def _names(row: object, name: str, where: str) -> tuple[str, ...]:
    found = _field(row, name, where, list)
    if not all(type(each) is str for each in found):
        raise GraphError(f"'{name}' of {where} must hold strings only")
    return tuple(found)


def _read_edge(row: object, where: str) -> Edge:
    source, target = _field(row, "source", where, str), _field(row, "target", where, str)
    return Edge(source, target, _kind(row, "type", where, EdgeType), _field(row, "label", where, str))


def _rows(read: object, name: str) -> enumerate[Any]:
    return enumerate(_field(read, name, "the graph", list))


def _field(row: object, name: str, where: str, *kinds: type) -> Any:
    """Return a field of an object, of one of these types exactly: JSON's `true` is no number."""
    if not isinstance(row, dict):
        raise GraphError(f"{where} must be an object")
    if name not in row:
        raise GraphError(f"{where} has no field '{name}'")
    if type(row[name]) not in kinds:
        wanted = " or ".join(_JSON_NAMES[kind] for kind in kinds)
        raise GraphError(f"'{name}' of {where} must be {wanted}")
    return row[name]


def _kind(row: object, name: str, where: str, kinds: type[_Kind]) -> _Kind:
    value = _field(row, name, where, str)
    try:
        return kinds(value)
    except ValueError:
        known = listed(words_of(kinds))
        raise GraphError(f"'{name}' of {where} is {value!r}; known are {known}") from None


def _row(paths: list[StructurePath], row: int | None, name: str, where: str) -> StructurePath | None:
    """Return the path of a row; a path's own parent stands in an earlier one."""
    if row is None:
        return None
    if not 0 <= row < len(paths):
        raise GraphError(f"'{name}' of {where} is {row}, where no path stands")
    return paths[row]


_JSON_NAMES = {
    dict: "an object",
    list: "an array",
    str: "a string",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    type(None): "null",
}
