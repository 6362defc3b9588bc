"""Nodes and edges: what a graph consists of.

Both are plain frozen values. An edge names its two nodes by their ids.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from cascade.graph.node_policies import NO_NODE_POLICIES
from cascade.graph.path import StructurePath
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.pictures import NodePolicies
from cascade.spec.task import AnyTask


class NodeType(StrEnum):
    """What a node does.

    TASK is one call, MAP one call for each item of a sequence, PARAM the reading of an input. A POTENTIAL node is not
    a call of the tree: it stands for a task that only tail calls lead to. It is drawn and never planned.
    """

    TASK = "task"
    MAP = "map"
    PARAM = "param"
    POTENTIAL = "potential"


class EdgeType(StrEnum):
    """Why the target of an edge waits for its source.

    DATA: the value is an argument, or selects a route. CONDITION: the value decides whether the target runs.
    CONSTRAINT: the value is the amount of a resource. SEQUENCE: the order alone, nothing flows. ROUTER_ROUTE: the value
    is one of those that a router chooses from. POTENTIAL edges show tail calls that the source of a task may make;
    nothing waits for them.
    """

    DATA = "data"
    CONDITION = "condition"
    CONSTRAINT = "constraint"
    SEQUENCE = "sequence"
    ROUTER_ROUTE = "router_route"
    POTENTIAL = "potential"


@dataclass(frozen=True, slots=True)
class Node:
    """One call of a graph.

    Attributes:
        id: Unique in its graph; `n0`, `n1`, ... in a graph that is built from a lazy tree.
        name: The name of the task or of the input, as events and drawings show it.
        node_type: What the node does.
        callable_obj: The function, if it is at hand: a graph that was read from JSON has none.
        structure_path: The place of the call in its lazy tree.
        task: The task that is called, if it is at hand.
        mode: Where the function runs, if the task says so.
        tco_cycle_id: The same for all nodes whose tasks may call each other for ever by tail calls, `None` for all
            others; `with_tail_calls` finds it. (TCO: tail-call optimisation.)
        policies: The policies of the call, as plain data.
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
    """`target` waits for `source`; a POTENTIAL edge says that `source` may return a call of `target`.

    Both are node ids. `label` says where the value goes: the argument (`x[1]`), the name of an amount, or the key of a
    route.
    """

    source: str
    target: str
    edge_type: EdgeType = EdgeType.DATA
    label: str = ""
