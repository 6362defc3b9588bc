"""Planning: an order in which a graph can run."""

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
"""What the columns of a plan's table are."""

_SHOWN = 6
"""Node ids that a line lists; a task that gathers thousands has their number in place of the others."""


class Plan(Sequence[list[Node]]):
    """Stages of nodes that may run at the same time, each stage after those it waits for.

    Printed, it is a table. `order` holds all positions in `graph.nodes`, each behind those that it waits for; it ranks
    the nodes that are ready at one time. It is that of the stages, unless another one is given: one that holds fewer
    values at a time. In such a one calls that are alike stand together only within `window` of them; it is 0 otherwise.
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
        """The positions of all nodes, stage by stage."""
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
        """Give the number of the stage, id, task and kind of each node, and the ids of those that it waits for."""
        waits = self.graph.dependencies()
        ids = [node.id for node in self.graph.nodes]
        positions = iter(self.by_stages)
        for number, stage in enumerate(self, start=1):
            for node in stage:
                sources = _listed([ids[source] for source in waits[next(positions)]])
                yield str(number), node.id, " ".join(node.name.split()), node.node_type.value, sources

    def __str__(self) -> str:
        """Return a table: a line for each node, stage by stage."""
        rows = [PLAN_HEADER, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def __repr__(self) -> str:
        return f"<Plan of {len(self.order)} nodes in {len(self)} stages>"


def plan(target: object) -> Plan:
    """Return what a run of `target` would do and in which order, without running anything.

    Raises:
        CycleError: If there is no order.
    """
    return stages(build_graph(target))


def stages(graph: Graph) -> Plan:
    """Split `graph` into stages whose nodes may run at the same time.

    A node stands in the earliest stage after all that it may wait for; equal graphs give equal plans. Potential nodes
    stand in none. Where stages that follow each other are wide, the plan's order may be depth first: each value is held
    for a shorter time then.
    Takes O(nodes + edges).

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
    """Walk against the edges among the nodes that never became ready, until one comes again."""
    position = next(position for position, count in enumerate(missing) if count)
    way: dict[int, None] = {}
    while position not in way:
        way[position] = None
        position = next(source for source in waits[position] if missing[source])
    cycle = list(way)[list(way).index(position) :]
    return tuple(graph.nodes[each].name for each in reversed(cycle))
