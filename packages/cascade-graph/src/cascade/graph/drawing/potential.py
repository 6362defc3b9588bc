"""Potential calls: a graph with the tail calls that its tasks' source shows, so that a drawing is a state machine."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import count
from typing import TypeAlias

from cascade.graph.analysis.tail_calls import tail_calls
from cascade.graph.model import Graph
from cascade.graph.node_policies import node_policies
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.tree_views import node_id
from cascade.spec.task import AnyTask

_Calls: TypeAlias = dict[AnyTask, tuple[AnyTask, ...]]


def with_tail_calls(graph: Graph) -> Graph:
    """Return the graph with the tail calls of its tasks, and of the tasks that these lead to.

    Each node gets a POTENTIAL edge to itself if its task may return a call of itself, and one to the first node of
    each other task that it may return a call of. A task that has no node gets a POTENTIAL one, after all others.
    `tco_cycle_id` numbers the cycles in the order of the nodes: equal trees give equal ids. Plans, critical paths and
    `cycles` are those of the graph without it.

    Reads the files that the tasks are written in. Takes O(nodes + edges), besides the reading. Calls that no source
    shows are not found; if there are none, the graph itself is returned.
    """
    calls = _reachable(graph)
    if not any(calls.values()):
        return graph
    ids = _cycle_ids(calls)
    known = {node.task for node in graph.nodes}
    nodes = [*graph.nodes, *_new_nodes(graph, [task for task in calls if task not in known])]
    nodes = [node if node.task not in ids else replace(node, tco_cycle_id=ids[node.task]) for node in nodes]
    edges = dict.fromkeys(graph.edges)  # once each, also where the graph has been through here before
    edges.update(dict.fromkeys(_edges(nodes, calls)))
    return Graph(nodes, list(edges), graph.target.id)


def _reachable(graph: Graph) -> _Calls:
    """Return the tail calls of each task in the graph, and of each task that they lead to."""
    calls: _Calls = {}
    pending = deque(dict.fromkeys(node.task for node in graph.nodes if node.task is not None))
    while pending:
        task = pending.popleft()
        if task not in calls:
            calls[task] = tail_calls(task)
            pending.extend(calls[task])
    return calls


def _new_nodes(graph: Graph, tasks: list[AnyTask]) -> Iterator[Node]:
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
    first: dict[AnyTask, str] = {}
    for node in nodes:
        if node.task is not None:
            first.setdefault(node.task, node.id)
    for node in nodes:
        for called in () if node.task is None else calls[node.task]:
            target = node.id if called is node.task else first[called]
            yield Edge(node.id, target, EdgeType.POTENTIAL)


def _cycle_ids(calls: _Calls) -> dict[AnyTask | None, str]:
    """Return the id of the cycle for each task that is on one."""
    cyclic: dict[AnyTask, list[AnyTask]] = {}
    for component in _components(calls):
        if len(component) > 1 or component[0] in calls[component[0]]:
            cyclic.update(dict.fromkeys(component, component))
    ids: dict[AnyTask | None, str] = {}
    numbers = count()
    for task in calls:
        if task in cyclic and task not in ids:
            ids.update(dict.fromkeys(cyclic[task], f"c{next(numbers)}"))
    return ids


def _components(calls: Mapping[AnyTask, tuple[AnyTask, ...]]) -> Iterator[list[AnyTask]]:
    """Give the strongly connected components: the tasks of each lead to each other.

    Source: H. N. Gabow, "Path-based depth-first search for strong and biconnected components", IPL 74, 2000.
    """
    order: dict[AnyTask, int] = {}  # a task's place in `met`; beyond all of them, once its component is known
    met: list[AnyTask] = []  # the tasks whose component is not known
    bounds: list[int] = []  # the places in `met` where components begin, as far as it is known
    way: list[tuple[AnyTask, Iterator[AnyTask]]] = []

    def enter(task: AnyTask) -> None:
        order[task] = len(met)
        bounds.append(len(met))
        met.append(task)
        way.append((task, iter(calls[task])))

    for root in calls:
        if root not in order:
            enter(root)
        while way:
            at, following = way[-1]
            for task in following:
                if task not in order:
                    enter(task)
                    break
                while bounds[-1] > order[task]:
                    bounds.pop()
            else:
                way.pop()
                if bounds[-1] == order[at]:
                    component = met[bounds.pop() :]
                    del met[-len(component) :]
                    order.update(dict.fromkeys(component, len(calls)))
                    yield component
