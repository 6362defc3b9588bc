"""Ordering: an order of calls that holds few values at a time, for graphs where the order by stages holds many.

A value is held from its call to the last call that takes it. Stage by stage, all loads of fifty pairs of a load and a
reduction are made before the first reduction, and fifty values are held. Depth first, each reduction follows its load,
and one value is held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

HANDFUL = 8
"""A stage of at most so many nodes holds few values in any order, so it is left alone."""

WHOLE = 128
"""A graph of at most so many nodes is ordered depth first, with no windows."""

WINDOW = 32
"""In a larger graph of plain calls, each run of so many nodes is sorted by stage.

Then calls that are alike follow each other again, and the engine can make them in one loop.
"""

_EDGES = 2
"""A graph with more edges per node than this is so dense that no order helps; edges of shared values do not count."""

Lists = Sequence[Sequence[int]]


def saving_order(
    waits: Lists, dependents: Lists, found: Lists, alike: bool
) -> tuple[tuple[int, ...], int] | None:
    """Return an order that holds at most half as many values as the order by stages, and its window; else `None`.

    `waits` and `dependents` give, for each position, the nodes that it waits for and those that wait for it; `found`
    are the stages. `alike` says that calls may be alike, so that a large graph is sorted within windows. The window is
    `WINDOW` then, and 1 otherwise. Takes O(nodes + edges).
    """
    size = sum(map(len, found))
    if is_dense(size, [*map(len, dependents)]):
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


def is_dense(size: int, takers: Sequence[int]) -> bool:
    """Tell whether a graph of so many nodes is too dense for another order to help.

    `takers` gives how many nodes wait for each.
    """
    # The first sum is cheap and settles most graphs; the second one leaves out edges of values that many nodes share.
    return sum(takers) > _EDGES * size and sum([each for each in takers if each <= HANDFUL]) > _EDGES * size


def _depth_first(waits: Lists, by_stages: Sequence[int]) -> list[int]:
    """Return the nodes depth first: each comes right after what it waits for, as far as that is possible.

    The walk begins at the nodes that no other node waits for, with those of the last stage first.
    """
    # A stack of iterators takes the place of recursion: chains may be deeper than Python's stack.
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
    """Sort each window of an order by stage.

    Each node still comes after all that it waits for: that stands in an earlier window, or else in the same window and
    in an earlier stage.
    """
    stage_of = {position: number for number, stage in enumerate(found) for position in stage}
    sorted_by_windows = []
    for begin in range(0, len(order), WINDOW):
        sorted_by_windows += sorted(order[begin : begin + WINDOW], key=stage_of.__getitem__)
    return sorted_by_windows


def _most_held(order: Sequence[int], waits: Lists, gathered: float) -> int:
    """Return the most values that are held at one time.

    Values that are taken by a call of at least `gathered` inputs do not count.
    """
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
