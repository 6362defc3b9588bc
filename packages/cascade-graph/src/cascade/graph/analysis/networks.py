"""Networks: a graph for networkx, its cycles and its longest path.

Only this module loads networkx. POTENTIAL edges take no part in cycles and paths, since nothing waits for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import islice

import networkx

from cascade.graph.graph_errors import GraphError
from cascade.graph.model import Graph
from cascade.graph.nodes import Node
from cascade.graph.planning import stages


def to_networkx(graph: Graph) -> networkx.MultiDiGraph[str]:
    """Return the graph for networkx, with the node ids as its nodes.

    Nodes have the attributes `name`, `node_type`, `structure_path` and `tco_cycle_id`, edges `edge_type` and `label`.
    A structure path is given as the object, which `str` turns into text: the texts of a deep chain together would not
    fit into memory.
    """
    made: networkx.MultiDiGraph[str] = networkx.MultiDiGraph()
    for node in graph.nodes:
        made.add_node(
            node.id,
            name=node.name,
            node_type=node.node_type,
            structure_path=node.structure_path,
            tco_cycle_id=node.tco_cycle_id,
        )
    for edge in graph.edges:
        made.add_edge(edge.source, edge.target, edge_type=edge.edge_type, label=edge.label)
    return made


def cycles(graph: Graph, limit: int = 1000) -> list[list[Node]]:
    """Return the elementary cycles, sorted: each goes along its edges, and begins with its first node in `graph.nodes`.

    At most `limit` of them, since n nodes can have more than n! cycles. Takes O((nodes + edges) * (cycles + 1)).

    Source: D. B. Johnson, "Finding all the elementary circuits of a directed graph", SIAM J. Comput. 4(1), 1975.
    """
    waits: networkx.DiGraph[int] = networkx.DiGraph()
    for target, sources in enumerate(graph.dependencies()):
        waits.add_edges_from((source, target) for source in sources)
    found = [_from_first(cycle) for cycle in islice(networkx.simple_cycles(waits), limit)]
    return [[graph.nodes[position] for position in cycle] for cycle in sorted(found)]


def critical_path(
    graph: Graph, durations: Mapping[str, float] | Callable[[Node], float] | None = None
) -> list[Node]:
    """Return the nodes on the path that takes longest, in the order in which they run. Takes O(nodes + edges).

    `durations` gives the time of each node, in any unit: a mapping by node id, or by task name for ids that it does not
    have; or a function of the node. Without it each node takes 1. Of equally long paths the one of more nodes is
    returned, then the one of earlier nodes.

    Raises:
        CycleError: If nodes wait for each other.
        GraphError: If the duration of a node is missing, or is not a number of 0 or more.
    """
    order = stages(graph).by_stages
    nodes = graph.nodes
    waits = graph.dependencies()
    finished = [(0.0, 0)] * len(
        nodes
    )  # by node: when it ends at the earliest, and how many nodes lead up to it
    before: list[int | None] = [None] * len(nodes)
    for position in order:
        latest = max(waits[position], key=finished.__getitem__, default=None)
        before[position] = latest
        start, passed = (0.0, 0) if latest is None else finished[latest]
        finished[position] = (start + _duration(nodes[position], durations), passed + 1)
    at = max(order, key=finished.__getitem__, default=None)
    path = []
    while at is not None:
        path.append(nodes[at])
        at = before[at]
    return path[::-1]


def _from_first(cycle: list[int]) -> list[int]:
    """Return a cycle so that it begins with its first position: a search may have met it anywhere."""
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


def _duration(node: Node, durations: Mapping[str, float] | Callable[[Node], float] | None) -> float:
    """Return the time of a node.

    Raises:
        GraphError: If it is missing, or is not a number of 0 or more.
    """
    if durations is None:
        return 1.0
    if isinstance(durations, Mapping):
        found = durations.get(node.id, durations.get(node.name))
        if found is None:
            raise GraphError(
                f"no duration for node {node.id!r} of task '{node.name}'; give one by its id or name"
            )
    else:
        found = durations(node)
    if not found >= 0:  # says no to NaN too
        raise GraphError(f"the duration of node {node.id!r} is {found!r}; give a number, 0 or more")
    return found
