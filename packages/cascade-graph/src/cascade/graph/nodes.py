"""Nodes and edges: what a graph consists of.

Both are plain frozen values. An edge names its two nodes by their ids.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cascade.graph.node_policies import NO_NODE_POLICIES, NodePolicies
from cascade.graph.path import StructurePath
from cascade.spec.policies.mode import Mode
from cascade.spec.task import AnyTask


class NodeType(StrEnum):
    """What a node does: one call, one call per item, or reading an input.

    A POTENTIAL node is no call of the tree: it stands for a task that only tail calls lead to, and is never planned.
    """

    TASK = "task"
    MAP = "map"
    PARAM = "param"
    POTENTIAL = "potential"


class EdgeType(StrEnum):
    """What flows along an edge, or what it says of the order.

    POTENTIAL edges show tail calls that a task's source may make; nothing waits for them.
    """

    DATA = "data"
    CONDITION = "condition"
    CONSTRAINT = "constraint"
    SEQUENCE = "sequence"
    ROUTER_ROUTE = "router_route"
    POTENTIAL = "potential"


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a graph. `id` is unique in its graph; `callable_obj` is the function, if it is at hand.

    `tco_cycle_id` is the same for all nodes whose tasks may lead to each other by tail calls for ever, and `None` for
    the others; `with_tail_calls` finds it. `policies` are the picture of those that the call is made under.
    """

    id: str
    name: str
    node_type: NodeType = NodeType.TASK
    callable_obj: Callable[..., Any] | None = None
    structure_path: StructurePath | None = None
    task: AnyTask | None = None
    mode: Mode | None = None
    tco_cycle_id: str | None = None
    policies: NodePolicies = NO_NODE_POLICIES


@dataclass(frozen=True, slots=True)
class Edge:
    """`target` waits for `source`, both by node id; if it is POTENTIAL, `source` may return a call of `target`.

    `label` says where: the argument (`x[1]`), the name of an amount, or the key of a route.
    """

    source: str
    target: str
    edge_type: EdgeType = EdgeType.DATA
    label: str = ""
