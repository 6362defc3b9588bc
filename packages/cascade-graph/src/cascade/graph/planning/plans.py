"""Plans: the order in which a run makes its calls, as a value that can be printed and compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import overload

from cascade.graph.model import Graph
from cascade.graph.nodes import Node
from cascade.spec.notebooks import TEXT, bundle_of
from cascade.spec.terminal_text import shown

PLAN_HEADER = ("STAGE", "NODE", "TASK", "KIND", "WAITS FOR")
"""The heads of the columns of `Plan.rows`."""

_SHOWN = 6
"""The most node ids that a line lists; of the others it gives the number, since a call may gather thousands."""


class Plan(Sequence[list[Node]]):
    """Stages of nodes that may run at the same time, each stage after all that it waits for. Printed, it is a table.

    Attributes:
        graph: The graph that is planned.
        order: The positions of all nodes in `graph.nodes`, each after all that it waits for. Of the nodes that are
            ready at one time, the earliest in this order runs first. It goes stage by stage, unless another order is
            given that holds fewer values at a time.
        by_stages: The same, stage by stage, whatever `order` is.
        window: 0 if `order` goes stage by stage. In another order, calls that are alike follow each other only within
            runs of so many nodes.
    """

    __slots__ = ("_levels", "_made", "by_stages", "graph", "order", "window")

    def __init__(
        self,
        graph: Graph,
        stages: Sequence[Sequence[int]],
        order: Sequence[int] | None = None,
        window: int = 0,
    ) -> None:
        self.graph = graph
        self._levels: Sequence[int] = ()
        self._made: tuple[tuple[int, ...], ...] | None = tuple(map(tuple, stages))
        self.by_stages = tuple(chain.from_iterable(self._made))
        self.order = self.by_stages if order is None else tuple(order)
        self.window = window

    @classmethod
    def of_levels(cls, graph: Graph, levels: Sequence[int]) -> Plan:
        """Make the plan whose stages are the levels of the nodes, which are given by position."""
        made = cls(graph, ())
        made._levels = levels
        made._made = None
        made.by_stages = made.order = tuple(sorted(range(len(levels)), key=levels.__getitem__))
        return made

    @property
    def _stages(self) -> tuple[tuple[int, ...], ...]:
        """The positions of the nodes of each stage; a run needs none of them."""
        if self._made is None:
            groups = groupby(self.by_stages, self._levels.__getitem__)
            self._made = tuple(tuple(group) for _, group in groups)
        return self._made

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
                yield str(number), node.id, shown(" ".join(node.name.split())), node.node_type.value, sources

    def __str__(self) -> str:
        """Return a table: the header, then a line for each node, stage by stage."""
        rows = [PLAN_HEADER, *self.rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Return what a notebook shows: the picture of the graph, and the table."""
        return {**bundle_of(self), TEXT: str(self)}

    def __repr__(self) -> str:
        return f"<Plan of {len(self.order)} nodes in {len(self)} stages>"


def _listed(ids: Sequence[str]) -> str:
    more = len(ids) - _SHOWN
    return ", ".join(ids[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
