"""The graph: nodes, edges, and the node whose value is the result.

There are two kinds. A graph put together by hand, or read from JSON, holds its nodes and edges. A graph of a lazy tree
holds the tree, and makes nodes and edges when they are asked for, since a run needs hardly any of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cascade.graph.graph_errors import GraphError
from cascade.graph.nodes import Edge, EdgeType, Node, NodeType
from cascade.graph.path import PathTable
from cascade.graph.tree import Tree
from cascade.graph.tree_views import TreeNodes, edges_of
from cascade.spec.notebooks import bundle_of


class Graph:
    """Nodes, edges, and the target: the node whose value is the result. A graph never changes.

    By hand: `Graph([Node("a", "a"), Node("b", "b")], [Edge("a", "b")])`. `target` is a node id; without it the last
    node is the target. `tree` is the lazy tree that the graph was built from, or `None`.

    Raises:
        GraphError: If two nodes have one id, if an edge or the target names a node that is not there, or if a
            POTENTIAL node has an edge of another type or is the target.
    """

    __slots__ = ("_edges", "_nodes", "_potential", "_target", "tree")

    def __init__(self, nodes: Sequence[Node], edges: Sequence[Edge] = (), target: str | None = None) -> None:
        self.tree: Tree | None = None
        self._nodes: Sequence[Node] = tuple(nodes)
        self._edges: tuple[Edge, ...] | None = tuple(edges)
        positions = self.positions()
        if len(positions) < len(self._nodes):
            raise GraphError("two nodes of one graph have the same id; give each its own")
        wanted = {end for edge in self._edges for end in (edge.source, edge.target)}
        if target is not None:
            wanted.add(target)
        for name in sorted(wanted - positions.keys()):
            raise GraphError(f"an edge or the target names node {name!r}, which is not in the graph")
        self._target = len(self._nodes) - 1 if target is None else positions[target]
        self._potential = frozenset(
            position for position, node in enumerate(self._nodes) if node.node_type is NodeType.POTENTIAL
        )
        if self._potential:
            self._check_potential()

    def _check_potential(self) -> None:
        firm = [edge for edge in self.edges if edge.edge_type is not EdgeType.POTENTIAL]
        called = {self.target.id, *(edge.source for edge in firm), *(edge.target for edge in firm)}
        for name in sorted(called & {self._nodes[position].id for position in self._potential}):
            raise GraphError(f"node {name!r} is potential, so it takes potential edges only and is no target")

    @classmethod
    def of(cls, tree: Tree) -> Graph:
        """Make the graph of a lazy tree, without its nodes and edges. Takes O(1)."""
        graph = cls.__new__(cls)
        graph.tree = tree
        graph._nodes = TreeNodes(tree)  # noqa: SLF001 - another way to make one of these
        graph._edges = None  # noqa: SLF001
        graph._potential = frozenset()  # noqa: SLF001
        graph._target = tree.structure.target  # noqa: SLF001
        return graph

    @property
    def nodes(self) -> Sequence[Node]:
        """All nodes, in the order in which they were given or found; the position of a node is its index here."""
        return self._nodes

    @property
    def edges(self) -> Sequence[Edge]:
        """All edges; those of a lazy tree are sorted by target, made at the first access and kept."""
        if self._edges is None:
            assert self.tree is not None
            self._edges = tuple(edges_of(self.tree))
        return self._edges

    @property
    def target(self) -> Node:
        """The node whose value is the result of a run.

        Raises:
            GraphError: If the graph is empty.
        """
        if not self._nodes:
            raise GraphError("the graph is empty; give it at least one node")
        return self._nodes[self._target]

    @property
    def potential(self) -> frozenset[int]:
        """The positions of the POTENTIAL nodes, which no run calls."""
        return self._potential

    def positions(self) -> dict[str, int]:
        """Return, by node id, the position of each node in `nodes`. Takes O(nodes)."""
        return {node.id: position for position, node in enumerate(self._nodes)}

    def dependencies(self) -> Sequence[Sequence[int]]:
        """Return, for each node, the positions of the nodes that it waits for; potential edges do not count.

        Takes O(nodes + edges).
        """
        if self.tree is not None:
            return self.tree.structure.dependencies()
        positions = self.positions()
        waits: list[list[int]] = [[] for _ in self._nodes]
        for edge in self.edges:
            if edge.edge_type is not EdgeType.POTENTIAL:
                waits[positions[edge.target]].append(positions[edge.source])
        return waits

    def picture(self) -> Graph:
        """Return the graph without functions and values: all that JSON keeps and a drawing shows."""
        nodes = [replace(node, callable_obj=None, task=None) for node in self.nodes]
        return Graph(nodes, self.edges, self.target.id if nodes else None)

    def __len__(self) -> int:
        return len(self._nodes)

    def __eq__(self, other: object) -> bool:
        """Graphs are equal if their nodes, edges and targets are. Takes O(nodes + edges), however deep the paths."""
        if not isinstance(other, Graph):
            return NotImplemented
        if len(self) != len(other) or self._target != other._target:
            return False
        table = PathTable()
        pairs = zip(self.nodes, other.nodes, strict=True)
        return all(_comparable(mine, table) == _comparable(theirs, table) for mine, theirs in pairs) and (
            self.edges == other.edges
        )

    __hash__ = None  # type: ignore[assignment]  # equal by value, and as large as its tree

    def __repr__(self) -> str:
        return f"<Graph of {len(self)} nodes>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return what a notebook shows: the picture, and the text."""
        return bundle_of(self)


def _comparable(node: Node, table: PathTable) -> tuple[object, ...]:
    """Return all fields of a node, with its path as a row of `table`: comparing paths takes as long as they are."""
    path = table.row_of(node.structure_path)
    return (
        node.id,
        node.name,
        node.node_type,
        node.callable_obj,
        path,
        node.task,
        node.mode,
        node.tco_cycle_id,
        node.policies,
    )
