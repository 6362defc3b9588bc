"""Ordering: an order of calls that holds few values at a time, for graphs where that of the stages holds many.

Stage by stage, of fifty pairs of a load and a reduction all loads are made before the first reduction. Depth first,
each reduction follows its load.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HANDFUL = 8
"""Stages of no more nodes than this hold few values in any order."""

WHOLE = 128
"""A graph of so many nodes is ordered depth first as it is."""

WINDOW = 32
"""In a larger one of plain calls so many that follow each other are sorted by stages: those alike stand together."""

_EDGES = 2
"""A graph with more edges a node than this, those of shared values left out, is so dense that no order helps."""

Lists = Sequence[Sequence[int]]


def saving_order(
    waits: Lists, dependents: Lists, found: Lists, alike: bool
) -> tuple[tuple[int, ...], int] | None:
    """Return an order that holds at most half of the values that the order by stages does, if there is one.

    `waits` and `dependents` are by position, `found` are the stages. With the order comes its window: 1 if it is depth
    first as it is, else `WINDOW`; that is for graphs whose calls may be `alike`. Takes O(nodes + edges).
    """
    size = sum(map(len, found))
    if sum(map(len, waits)) > _EDGES * size and _edges_of_few(dependents) > _EDGES * size:
        return None
    by_stages = [position for stage in found for position in stage]
    order = _depth_first(waits, by_stages)
    window = 1
    if alike and size > WHOLE:
        window = WINDOW
        order = _by_windows(order, found)
    # What a call takes that gathers about as many values as a stage has is held in any order.
    gathered = max(map(len, found)) / 2
    if 2 * _most_held(order, waits, gathered) > _most_held(by_stages, waits, gathered):
        return None
    return tuple(order), window


def _edges_of_few(dependents: Lists) -> int:
    """Return how many edges lead from values that a few nodes take."""
    return sum(len(each) for each in dependents if len(each) <= HANDFUL)


def _depth_first(waits: Lists, by_stages: Sequence[int]) -> list[int]:
    """Return each node behind all that it waits for, which stands as near before it as it can.

    It begins with what no other node waits for; of several, with one of the last stage.
    """
    order: list[int] = []
    met = bytearray(len(waits))
    way: list[tuple[int, Iterator[int]]] = []
    for root in reversed(by_stages):
        if met[root]:
            continue
        met[root] = True
        way.append((root, iter(waits[root])))
        while way:
            node, sources = way[-1]
            for source in sources:
                if not met[source]:
                    met[source] = True
                    way.append((source, iter(waits[source])))
                    break
            else:
                way.pop()
                order.append(node)
    return order


def _by_windows(order: list[int], found: Lists) -> list[int]:
    """Sort each window of an order by stages.

    Each node still comes behind all that it waits for: what stood in an earlier window stands there now, and what
    stood in the same window has an earlier stage.
    """
    stage_of = {position: number for number, stage in enumerate(found) for position in stage}
    sorted_by_windows = []
    for begin in range(0, len(order), WINDOW):
        sorted_by_windows += sorted(order[begin : begin + WINDOW], key=stage_of.__getitem__)
    return sorted_by_windows


def _most_held(order: Sequence[int], waits: Lists, gathered: float) -> int:
    """Return how many values are held at one time; those that a call takes which gathers so many don't count."""
    left = [0] * len(waits)  # calls that still need the value
    counts = bytearray(b"\1" * len(waits))
    for position in order:
        sources = waits[position]
        counted = len(sources) < gathered
        for source in sources:
            left[source] += 1
            if not counted:
                counts[source] = False
    held = most = 0
    for position in order:
        if counts[position]:
            held += 1
            most = max(most, held)
        for source in waits[position]:
            left[source] -= 1
            if not left[source] and counts[source]:
                held -= 1
    return most
