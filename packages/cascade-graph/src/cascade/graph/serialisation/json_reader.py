"""JSON reader: a graph from what `to_json` wrote. Imports and calls nothing, whatever the text says."""

from __future__ import annotations

import json
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cascade.graph.graph_errors import GraphError
from cascade.graph.model import Graph
from cascade.graph.node_policies import NO_NODE_POLICIES
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.path import Place, Segment, StructurePath
from cascade.graph.serialisation.json_fields import json_field, json_texts, json_word
from cascade.graph.serialisation.json_schema import LATER_POLICIES, VERSION
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.pictures import NodePolicies, NodeRetry

_Fields = TypeVar("_Fields")


def from_json(text: str) -> Graph:
    """Read what `to_json` wrote; the result equals `graph.picture()`. Takes O(nodes + edges).

    Raises:
        GraphError: If the text is not JSON, has another version, or is no graph; it says where.
    """
    try:
        read = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise GraphError(f"the graph is not JSON: {problem}") from None
    version = json_field(read, "version", "the graph", int)
    if version != VERSION:
        raise GraphError(
            f"the graph has schema version {version}, and this Cascade reads {VERSION}; write it anew"
        )
    paths = _read_paths(json_field(read, "paths", "the graph", list))
    nodes = [_read_node(row, f"nodes[{at}]", paths) for at, row in _rows(read, "nodes")]
    edges = [_read_edge(row, f"edges[{at}]") for at, row in _rows(read, "edges")]
    return Graph(nodes, edges, json_field(read, "target", "the graph", str, type(None)))


def _read_paths(rows: list[object]) -> list[StructurePath]:
    """Return the paths of the table, row by row; a row may continue earlier ones only."""
    paths: list[StructurePath] = []
    for at, row in enumerate(rows):
        where = f"paths[{at}]"
        parent = json_field(row, "parent", where, int, type(None))
        shown = json_field(row, "segment", where, dict, type(None))
        segment = None if shown is None else _read_segment(shown, where)
        paths.append(StructurePath(_row(paths, parent, "parent", where), segment))
    return paths


def _read_segment(row: object, where: str) -> Segment:
    """Return one step of a path."""
    steps = json_field(row, "steps", where, list)
    if not all(type(step) is int for step in steps):
        raise GraphError(f"'steps' of {where} must hold whole numbers only")
    return Segment(
        json_word(row, "place", where, Place), json_field(row, "at", where, int, str), tuple(steps)
    )


def _read_node(row: object, where: str, paths: list[StructurePath]) -> Node:
    """Return a node, without function and task."""
    mode = json_field(row, "mode", where, str, type(None))
    return Node(
        id=json_field(row, "id", where, str),
        name=json_field(row, "name", where, str),
        node_type=json_word(row, "type", where, NodeType),
        structure_path=_row(paths, json_field(row, "path", where, int, type(None)), "path", where),
        mode=None if mode is None else json_word(row, "mode", where, Mode),
        tco_cycle_id=json_field(row, "tco_cycle_id", where, str, type(None)),
        policies=_read_policies(
            json_field(row, "policies", where, dict, type(None)), f"'policies' of {where}"
        ),
    )


def _read_policies(row: dict[str, Any] | None, where: str) -> NodePolicies:
    return NO_NODE_POLICIES if row is None else _read_fields({**LATER_POLICIES, **row}, NodePolicies, where)


def _read_fields(row: dict[str, Any], cls: type[_Fields], where: str) -> _Fields:
    """Return a dataclass from an object that has its fields: numbers, texts, lists of texts, other such dataclasses."""
    return cls(**{name: _read_field(row, name, where, hint) for name, hint in _HINTS[cls].items()})


_HINTS: dict[type, dict[str, Any]] = {cls: get_type_hints(cls) for cls in (NodePolicies, NodeRetry)}
"""The types of the fields of what is read by its fields."""


def _read_field(row: dict[str, Any], name: str, where: str, hint: Any) -> object:
    """Return one field of a dataclass, by its type hint."""
    if get_origin(hint) is tuple:
        return json_texts(row, name, where)
    kinds = get_args(hint) or (hint,)
    nested = [kind for kind in kinds if kind in _HINTS]
    if not nested:
        return json_field(row, name, where, *((int, *kinds) if float in kinds else kinds))
    found = json_field(row, name, where, dict, type(None))
    return None if found is None else _read_fields(found, nested[0], f"'{name}' of {where}")


def _read_edge(row: object, where: str) -> Edge:
    source, target = json_field(row, "source", where, str), json_field(row, "target", where, str)
    return Edge(source, target, json_word(row, "type", where, EdgeType), json_field(row, "label", where, str))


def _rows(read: object, name: str) -> enumerate[Any]:
    return enumerate(json_field(read, name, "the graph", list))


def _row(paths: list[StructurePath], row: int | None, name: str, where: str) -> StructurePath | None:
    """Return the path of a row among those that are read so far: a path comes after its parent."""
    if row is None:
        return None
    if not 0 <= row < len(paths):
        raise GraphError(f"'{name}' of {where} is {row}, where no path stands")
    return paths[row]
