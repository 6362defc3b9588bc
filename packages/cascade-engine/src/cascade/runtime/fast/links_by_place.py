"""Links by place: what fills each call, by the places that calls have in the order of a plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, groupby
from typing import Any, NamedTuple

from cascade.graph.plain_structure import Form, Inputs, Link, PlainStructure, sources_of, whole_slots
from cascade.graph.small_steps import STRETCH, Steps


class Group(NamedTuple):
    """Calls of one form that follow each other in a plan: the index of the form, and their places."""

    kind: int
    begin: int
    end: int


_LARGEST = 8 * STRETCH


def groups_of(structure: PlainStructure, order: Sequence[int]) -> Iterator[Group]:
    """Split an order into calls of one form, a few thousand of them at most."""
    begin = 0
    for kind, alike in groupby(order, structure.kinds.__getitem__):
        end = begin + len([*alike])
        for each in range(begin, end, _LARGEST):
            yield Group(kind, each, min(each + _LARGEST, end))
        begin = end


def takes_values_alone(form: Form) -> bool:
    """Tell whether all arguments are the values of other calls, by position; then links are numbers or tuples."""
    return not form.names and form.slots == whole_slots(form.arity)


def link_steps(structure: PlainStructure, groups: Sequence[Group], order: Sequence[int]) -> Steps[list[Link]]:
    """Return what fills each call, in the order of a plan and by the places in it."""
    # Once per node of every graph that is new: watched by observatory/benchmarks/bench_graphs.py.
    places = [0] * len(order)
    for place, node in enumerate(order):
        places[node] = place
    yield
    take_place, take_link = places.__getitem__, structure.links.__getitem__
    found: list[Any] = []
    done = 0
    for kind, begin, end in groups:
        form = structure.forms[kind]
        links: Iterator[Any] = map(take_link, order[begin:end])
        if not form.slots:
            found += links
        elif not takes_values_alone(form):
            found += [_by_place(link, places) for link in links]
        elif form.arity == 1:
            found += map(take_place, links)
        else:
            column = map(take_place, chain.from_iterable(links))
            found += zip(*[column] * form.arity, strict=True)
        if end - done >= STRETCH:
            done = end
            yield
    return found


def _by_place(link: Link, places: Sequence[int]) -> Link:
    if link is None or isinstance(link, int):
        return None if link is None else places[link]
    sources = tuple(map(places.__getitem__, sources_of(link)))
    return link._replace(sources=sources) if isinstance(link, Inputs) else sources
