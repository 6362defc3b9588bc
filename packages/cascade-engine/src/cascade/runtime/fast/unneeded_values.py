"""Unneeded values: which values of a table no later call needs, so that they are forgotten while it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from cascade.graph.plain_structure import Inputs, Link
from cascade.graph.small_steps import Steps
from cascade.runtime.fast.stretches import Stretch

Gone = tuple[slice, list[None]]
"""Values by their places, and what is put there when no call needs them any more."""


Unneeded = tuple[tuple[Gone, ...], ...]
"""What no call needs any more, behind each stretch."""


def unneeded_steps(links: Sequence[Link], made: Sequence[Stretch], together: int) -> Steps[Unneeded]:
    """Return, for each stretch, the values that no call behind it needs; that of the target is never among them.

    So many values that lie side by side are forgotten together: in a wide graph the last calls that need each of them
    lie far apart, and to forget them one by one would take as long as the calls.
    """
    last = yield from _stretches_of_last(links, made)
    found: list[list[Gone]] = [[] for _ in made]
    size = len(links) - 1
    nothing = [None] * together
    for begin in range(0, size, together):
        end = min(begin + together, size)
        gone = slice(begin, end), nothing if end - begin == together else nothing[: end - begin]
        found[max(last[begin:end])].append(gone)
    yield
    return tuple(map(tuple, found))


def unneeded_in_windows(links: Sequence[Link], made: Sequence[Stretch], together: int) -> Steps[Unneeded]:
    """Return the same for an order that holds few values: only those are forgotten together that go together."""
    last = yield from _stretches_of_last(links, made)
    found: list[list[Gone]] = [[] for _ in made]
    begin = 0
    for index, group in groupby(last[:-1]):
        end = begin + len(list(group))
        for each in range(begin, end, together):
            until = min(each + together, end)
            found[index].append((slice(each, until), [None] * (until - each)))
        begin = end
    yield
    return tuple(map(tuple, found))


def _stretches_of_last(links: Sequence[Link], made: Sequence[Stretch]) -> Steps[list[int]]:
    """Return, for each value, the index of the stretch with the last call that needs it."""
    # Once per node of every graph that is new: watched by observatory/benchmarks/bench_graphs.py.
    last = [0] * len(links)
    for index, stretch in enumerate(made):
        for link in links[stretch.begin : stretch.end]:
            if link is None:
                continue
            if isinstance(link, int):
                last[link] = index
                continue
            for source in link.sources if isinstance(link, Inputs) else link:
                last[source] = index
        if not index % _STRETCHES_A_STEP:
            yield
    return last


_STRETCHES_A_STEP = 32
