"""Tree views: the nodes and edges of a lazy tree, each made when it is asked for.

A run needs the columns of its tree and few of its nodes. So the graph of a tree holds views, and no list of nodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from cascade.graph.node_policies import node_policies
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.path import StructurePath
from cascade.graph.tree import Choice, Tree
from cascade.spec.lazy_types import Lazy, MappedLazyResult, ParamLazyResult


class TreeNodes(Sequence[Node]):
    """The nodes of a tree, by position; each access makes the node anew."""

    __slots__ = ("_tree",)

    def __init__(self, tree: Tree) -> None:
        self._tree = tree

    def __len__(self) -> int:
        return len(self._tree.lazies)

    @overload
    def __getitem__(self, index: int) -> Node: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Node]: ...
    def __getitem__(self, index: int | slice) -> Node | Sequence[Node]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        return node_of(self._tree.lazies[position], position, self._tree.structure.paths[position])


def node_of(lazy: Lazy, position: int, path: StructurePath) -> Node:
    """Return the node of a lazy result that stands at this position of its graph, and at this path of its tree."""
    task = lazy.task
    kind = _KINDS.get(type(lazy), NodeType.TASK)
    name = node_name(lazy)
    bound = lazy.max_concurrency if isinstance(lazy, MappedLazyResult) else None
    policies = node_policies(lazy.policies, bound)
    return Node(node_id(position), name, kind, task.func, path, task, lazy.policies.mode, None, policies)


def node_name(lazy: Lazy) -> str:
    """Return the name of the node of a lazy result: that of its task, or of the input that it reads."""
    return lazy.contract.name if isinstance(lazy, ParamLazyResult) else lazy.task.name


def node_id(position: int) -> str:
    """Return the id of the node at a position of its graph."""
    return f"n{position}"


_KINDS: dict[type, NodeType] = {MappedLazyResult: NodeType.MAP, ParamLazyResult: NodeType.PARAM}


def edges_of(tree: Tree) -> Iterator[Edge]:
    """Give all edges of a tree, by target; those of one target in the order in which it waits for their sources."""
    structure = tree.structure
    for position, call in enumerate(structure.calls):
        target = node_id(position)
        for before in structure.predecessors(position):
            yield Edge(node_id(before), target, EdgeType.SEQUENCE)
        for condition in call.conditions:
            yield Edge(node_id(condition), target, EdgeType.CONDITION)
        for name, amount in call.amounts:
            yield Edge(node_id(amount), target, EdgeType.CONSTRAINT, name)
        task = tree.lazies[position].task
        for slot, source in zip(call.slots, call.sources, strict=True):
            label = task.describe_slot(slot)
            if isinstance(source, int):
                yield Edge(node_id(source), target, EdgeType.DATA, label)
            elif isinstance(source, Choice):
                yield Edge(node_id(source.selector), target, EdgeType.DATA, f"{label}.selector")
                for key, route in zip(source.keys, source.routes, strict=True):
                    yield Edge(node_id(route), target, EdgeType.ROUTER_ROUTE, f"{label}: {key!r}")
