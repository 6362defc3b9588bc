"""Planning: an order in which the nodes of a graph can run.

A plan is a value: it can be printed, compared, and made by a solver of the user's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

from cascade.graph.build import build_graph
from cascade.graph.graph_errors import CycleError
from cascade.graph.model import Graph
from cascade.graph.nodes import Node
from cascade.graph.ordering import HANDFUL, saving_order
from cascade.graph.plain_structure import PlainStructure

PLAN_HEADER = ("STAGE", "NODE", "TASK", "KIND", "WAITS FOR")
"""The heads of the columns of `Plan.rows`."""

_SHOWN = 6
"""The most node ids that a line lists; the others are told by their number, since a call may gather thousands."""


class Plan(Sequence[list[Node]]):
    """Stages of nodes that may run at the same time, each stage after all that it waits for. Printed, it is a table.

    Attributes:
        graph: The graph that is planned.
        order: The positions of all nodes in `graph.nodes`, each after all that it waits for. Of the nodes that are
            ready at one time, the earliest in this order runs first. It goes stage by stage, unless another order is
            given that holds fewer values at a time.
        window: 0 if `order` goes stage by stage. In another order, calls that are alike follow each other only within
            runs of so many nodes.
    """

    __slots__ = ("_stages", "graph", "order", "window")

    def __init__(
        self,
        graph: Graph,
        stages: Sequence[Sequence[int]],
        order: Sequence[int] | None = None,
        window: int = 0,
    ) -> None:
        self.graph = graph
        self._stages = tuple(map(tuple, stages))
        self.order = self.by_stages if order is None else tuple(order)
        self.window = window

    @property
    def by_stages(self) -> tuple[int, ...]:
        """The positions of all nodes, stage by stage, whatever `order` is."""
        return tuple(position for stage in self._stages for position in stage)

    def __len__(self) -> int:
        return len(self._stages)

    @overload
    def __getitem__(self, index: int) -> list[Node]: ...
    @overload
    def __getitem__(self, index: slice) -> list[list[Node]]: ...
    def __getitem__(self, index: int | slice) -> list[Node] | list[list[Node]]:
        nodes = self.graph.nodes
        if isinstance(index, slice):
            return [[nodes[position] for position in stage] for stage in self._stages[index]]
        return [nodes[position] for position in self._stages[index]]

    def __iter__(self) -> Iterator[list[Node]]:
        return (self[index] for index in range(len(self)))

    def __eq__(self, other: object) -> bool:
        return self._stages == other._stages if isinstance(other, Plan) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._stages)

    def rows(self) -> Iterator[tuple[str, str, str, str, str]]:
        """Give the cells of the table: a row for each node, stage by stage, with the columns of `PLAN_HEADER`."""
        waits = self.graph.dependencies()
        ids = [node.id for node in self.graph.nodes]
        positions = iter(self.by_stages)
        for number, stage in enumerate(self, start=1):
            for node in stage:
                sources = _listed([ids[source] for source in waits[next(positions)]])
                yield str(number), node.id, " ".join(node.name.split()), node.node_type.value, sources

    def __str__(self) -> str:
        """Return a table: the header, then a line for each node, stage by stage."""
        rows = [PLAN_HEADER, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return f"<Plan of {len(self.order)} nodes in {len(self)} stages>"


def plan(target: object) -> Plan:
    """Return what a run of `target` would do and in which order; nothing runs. Takes O(size of the tree).

    Raises:
        NotLazyError: If the target is no lazy result.
        CycleError: If there is no order.
    """
    return stages(build_graph(target))


def stages(graph: Graph) -> Plan:
    """Split `graph` into stages whose nodes may run at the same time.

    A node stands in the earliest stage after all that it may wait for. Potential nodes stand in none. Equal graphs
    give equal plans. Where wide stages follow each other, the order of the plan may be depth first, so that fewer
    values are held at a time: see `ordering`. Takes O(nodes + edges).

    Raises:
        CycleError: If no order exists; it names the tasks on one cycle.

    Source: A. B. Kahn, "Topological sorting of large networks", CACM 5(11), 1962.
    """
    waits = graph.dependencies()
    dependents: list[list[int]] = [[] for _ in waits]
    missing = []
    for position, sources in enumerate(waits):
        missing.append(len(sources))
        for source in sources:
            dependents[source].append(position)
    potential = graph.potential
    stage = [position for position, count in enumerate(missing) if not count and position not in potential]
    found = []
    wide = False
    while stage:
        found.append(stage)
        following = []
        for source in stage:
            for position in dependents[source]:
                left = missing[position] - 1
                missing[position] = left
                if not left:
                    following.append(position)
        if len(following) > 1:
            following.sort()
            if len(following) > HANDFUL < len(stage):
                wide = True
        stage = following
    if sum(map(len, found)) < len(missing) - len(potential):
        raise CycleError(_one_cycle(graph, waits, missing))
    saving = _saving_order(graph, waits, dependents, found) if wide else None
    return Plan(graph, found) if saving is None else Plan(graph, found, *saving)


def _saving_order(
    graph: Graph, waits: Sequence[Sequence[int]], dependents: list[list[int]], found: list[list[int]]
) -> tuple[tuple[int, ...], int] | None:
    is_plain = graph.tree is not None and isinstance(graph.tree.structure, PlainStructure)
    return saving_order(waits, dependents, found, is_plain)


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _one_cycle(graph: Graph, waits: Sequence[Sequence[int]], missing: list[int]) -> tuple[str, ...]:
    """Return the names of the tasks on one cycle, in the direction of its edges."""
    # Each node that never became ready waits for another such node. So a walk against the edges among them goes on
    # until it comes to a node for the second time; what lies between is a cycle.
    position = next(position for position, count in enumerate(missing) if count)
    way: dict[int, None] = {}
    while position not in way:
        way[position] = None
        position = next(source for source in waits[position] if missing[source])
    cycle = list(way)[list(way).index(position) :]
    return tuple(graph.nodes[each].name for each in reversed(cycle))
