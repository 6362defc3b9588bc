"""Levels: in which stage each call of a plain tree stands, found from what fills it.

A plain tree has no cycle, and its links are flat. So it needs neither lists of dependents nor a search for cycles.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from cascade.graph.plain_structure import Inputs, PlainStructure, sources_of
from cascade.graph.small_steps import STRETCH, Steps

_PART = 8 * STRETCH


def levels(structure: PlainStructure) -> Steps[list[int]]:
    """Return the level of each node: 0 if nothing fills it, else one more than the highest among its sources.

    Takes O(nodes + edges), and a step for each few thousand nodes.
    """
    # Once per node of every graph that is new: watched by observatory/benchmarks/bench_graphs.py.
    links = structure.links
    found = [0] * len(links)
    order: Sequence[int] = range(len(links))
    if structure.repeated:
        order = yield from _takers_first(structure)
    for end in range(len(links), 0, -_PART):
        for node in reversed(order[max(0, end - _PART) : end]):
            link = links[node]
            if link is None:
                continue
            if isinstance(link, int):
                found[node] = found[link] + 1
                continue
            top = 0
            for source in link.sources if isinstance(link, Inputs) else link:
                if found[source] > top:
                    top = found[source]
            found[node] = top + 1
        yield
    return found


def _takers_first(structure: PlainStructure) -> Steps[list[int]]:
    """Return the nodes in an order in which each one stands behind all that take its value.

    Where no node is met again, that is the order of the positions.
    """
    links = structure.links
    left = [1] * len(links)  # places that the value is for, in calls that are not in the order yet
    for source in structure.repeated:
        left[source] += 1
    order = [0]
    following = iter(order)  # which grows meanwhile
    for _ in range(0, len(links), _PART):
        for node in islice(following, _PART):
            link = links[node]
            if link is None:
                continue
            for source in sources_of(link):
                count = left[source] - 1
                left[source] = count
                if not count:
                    order.append(source)
        yield
    return order


def uses(structure: PlainStructure) -> list[int]:
    """Return for how many places in other calls each value is."""
    counts = [1] * len(structure)
    for source in structure.repeated:
        counts[source] += 1
    counts[structure.target] = 0
    return counts
