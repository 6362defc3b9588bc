"""Tail-call edges: a graph together with the tail calls that the source of its tasks shows.

A task may return a call of another task, or of itself, so the tree of a loop shows one round only. With the tail calls
drawn as edges, the drawing is the state machine that the tasks make.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from typing import TypeAlias

from cascade.graph.analysis.components import components
from cascade.graph.analysis.tail_calls import tail_calls
from cascade.graph.model import Graph
from cascade.graph.node_policies import node_policies
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.tree_views import node_id
from cascade.spec.task import AnyTask

_Calls: TypeAlias = dict[AnyTask, tuple[AnyTask, ...]]


def with_tail_calls(graph: Graph) -> Graph:
    """Return the graph with the tail calls of its tasks, and those of the tasks that these lead to.

    A node gets a POTENTIAL edge for each task that its own task may return a call of: to itself if that is its own
    task, else to the first node of that task. A task that has no node gets a POTENTIAL one, after all others. The
    cycles of tail calls are numbered in the order of the nodes, and `tco_cycle_id` is that number (`c0`, `c1`, ...), so
    equal trees get equal ids. Plans, critical paths and `cycles` stay as they were.

    Calls that no source shows are not found; if there are none, the graph itself is returned. Reads the files that the
    tasks are written in, and takes O(nodes + edges) besides.
    """
    calls = _reachable(graph)
    if not any(calls.values()):
        return graph
    ids = _cycle_ids(calls)
    known = {node.task for node in graph.nodes}
    nodes = [*graph.nodes, *_new_nodes(graph, [task for task in calls if task not in known])]
    nodes = [node if node.task not in ids else replace(node, tco_cycle_id=ids[node.task]) for node in nodes]
    edges = dict.fromkeys(
        graph.edges
    )  # a dict, so that a graph that has been through here before gets none twice
    edges.update(dict.fromkeys(_edges(nodes, calls)))
    return Graph(nodes, list(edges), graph.target.id)


def _reachable(graph: Graph) -> _Calls:
    """Return the tail calls of each task in the graph, and of each task that these lead to."""
    calls: _Calls = {}
    pending = deque(dict.fromkeys(node.task for node in graph.nodes if node.task is not None))
    while pending:
        task = pending.popleft()
        if task not in calls:
            calls[task] = tail_calls(task)
            pending.extend(calls[task])
    return calls


def _new_nodes(graph: Graph, tasks: list[AnyTask]) -> Iterator[Node]:
    """Give a POTENTIAL node for each of these tasks, with ids that no node of the graph has."""
    taken = graph.positions()
    free = (name for name in map(node_id, count(len(graph))) if name not in taken)
    for task in tasks:
        yield Node(
            next(free),
            task.name,
            NodeType.POTENTIAL,
            task.func,
            task=task,
            mode=task.policies.mode,
            policies=node_policies(task.policies),
        )


def _edges(nodes: list[Node], calls: _Calls) -> Iterator[Edge]:
    """Give the POTENTIAL edges between these nodes."""
    first: dict[AnyTask, str] = {}
    for node in nodes:
        if node.task is not None:
            first.setdefault(node.task, node.id)
    for node in nodes:
        for called in () if node.task is None else calls[node.task]:
            target = node.id if called is node.task else first[called]
            yield Edge(node.id, target, EdgeType.POTENTIAL)


def _cycle_ids(calls: _Calls) -> dict[AnyTask | None, str]:
    """Return the id of its cycle for each task that is on one."""
    cyclic: dict[AnyTask, list[AnyTask]] = {}
    for component in components(calls):
        if len(component) > 1 or component[0] in calls[component[0]]:
            cyclic.update(dict.fromkeys(component, component))
    ids: dict[AnyTask | None, str] = {}
    numbers = count()
    for task in calls:
        if task in cyclic and task not in ids:
            ids.update(dict.fromkeys(cyclic[task], f"c{next(numbers)}"))
    return ids
