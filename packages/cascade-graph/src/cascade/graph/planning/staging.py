"""Staging: splits a graph into stages, by Kahn's algorithm, and names a cycle where there is no order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from cascade.graph.build import build_graph
from cascade.graph.graph_errors import CycleError
from cascade.graph.model import Graph
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.planning.levels import levels, uses
from cascade.graph.planning.ordering import HANDFUL, is_dense, saving_order
from cascade.graph.planning.plans import Plan
from cascade.graph.small_steps import Steps, done


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
    return done(stage_steps(graph))


def stage_steps(graph: Graph) -> Steps[Plan]:
    """Split as `stages` does, with a step for each few thousand nodes of a plain tree."""
    structure = None if graph.tree is None else graph.tree.structure
    if not isinstance(structure, PlainStructure):
        return _staged(graph)
    found = yield from levels(structure)
    yield
    by_levels = Plan.of_levels(graph, found)
    yield
    return _staged(graph) if _may_hold_fewer(structure, found) else by_levels


def _may_hold_fewer(structure: PlainStructure, found: Sequence[int]) -> bool:
    """Tell whether an order may be worth searching for that holds fewer values than the order by stages."""
    size, depth = len(found), max(found) + 1
    if size - depth <= 2 * HANDFUL:  # too few nodes for two wide stages
        return False
    widths = Counter(found)
    if not any(widths[stage + 1] > HANDFUL < widths[stage] for stage in range(depth - 1)):
        return False
    return not is_dense(size, uses(structure))


def _staged(graph: Graph) -> Plan:
    waits = graph.dependencies()
    dependents: list[list[int]] = [[] for _ in waits]
    missing = []
    for position, sources in enumerate(waits):
        missing.append(len(sources))
        for source in sources:
            dependents[source].append(position)
    # Kahn: nodes that wait for nothing make the first stage; a node is ready once all that it waits for is in a stage.
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
            following.sort()  # by position, whatever the order of edges: equal graphs give equal plans
            if len(following) > HANDFUL < len(stage):
                wide = True
        stage = following
    # Nodes on a cycle, and all behind them, never become ready.
    if sum(map(len, found)) < len(missing) - len(potential):
        raise CycleError(_one_cycle(graph, waits, missing))
    # Only a wide stage behind a wide one holds many values, and searching for a better order takes time.
    saving = _saving_order(graph, waits, dependents, found) if wide else None
    return Plan(graph, found) if saving is None else Plan(graph, found, *saving)


def _saving_order(
    graph: Graph, waits: Sequence[Sequence[int]], dependents: list[list[int]], found: list[list[int]]
) -> tuple[tuple[int, ...], int] | None:
    is_plain = graph.tree is not None and isinstance(graph.tree.structure, PlainStructure)
    return saving_order(waits, dependents, found, is_plain)


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
