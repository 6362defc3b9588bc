"""Stretches: plain calls that follow each other in a plan, made in one loop.

A long stretch of calls of one form has a loop of its own, which binds their function once and takes each argument from
where it is known to be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from cascade.graph.plain import Form, Inputs, PlainStructure, whole_slots
from cascade.runtime.plain import LAZY_TYPES, Lazies, Stopped
from cascade.spec.lazy_types import LazyResult

LONG = 8
"""So many calls of one form have a loop of their own."""

Links = Sequence[Any]
"""The link of each node. Which kind of link it is, is known from the form of the call."""

MakeCalls = Callable[[Sequence[int], Links, Lazies, list[Any]], Stopped | None]
"""Calls some nodes and fills in their values; gives a `Stopped` at a call that raises or gives a lazy result."""


def stretches(structure: PlainStructure, order: Sequence[int]) -> Iterator[tuple[MakeCalls, int]]:
    """Split an order into stretches; give how the calls of each are made, and the place after its last."""
    begin = end = 0
    for kind, group in groupby(order, structure.kinds.__getitem__):
        length = len(list(group))
        make_calls = _loop_for(structure.forms[kind]) if length >= LONG else _call_others
        if make_calls is not _call_others:
            if begin < end:
                yield _call_others, end
            begin = end + length
            yield make_calls, begin
        end += length
    if begin < end:
        yield _call_others, end


def _loop_for(form: Form) -> MakeCalls:
    """Return the loop for calls of one form: all arguments are literals, or all are the values of other calls."""
    filled = len(form.slots)
    if form.names or filled >= len(_LOOPS) or (filled and form.slots != whole_slots(form.arity)):
        return _call_others
    return _LOOPS[filled]


# Each once per node of every plain graph: watched by observatory/benchmarks/bench_graphs.py.


def _call_leaves(nodes: Sequence[int], links: Links, lazies: Lazies, values: list[Any]) -> Stopped | None:
    func = lazies[nodes[0]].task.func
    node = -1
    try:
        for node in nodes:
            value = func(*lazies[node].args)
            if type(value) in LAZY_TYPES:
                return Stopped(node, values, None, value)
            values[node] = value
    except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
        return Stopped(node, values, error)
    return None


def _call_singles(nodes: Sequence[int], links: Links, lazies: Lazies, values: list[Any]) -> Stopped | None:
    func = lazies[nodes[0]].task.func
    node = -1
    try:
        for node in nodes:
            value = func(values[links[node]])
            if type(value) in LAZY_TYPES:
                return Stopped(node, values, None, value)
            values[node] = value
    except BaseException as error:  # noqa: BLE001 - as above
        return Stopped(node, values, error)
    return None


def _call_pairs(nodes: Sequence[int], links: Links, lazies: Lazies, values: list[Any]) -> Stopped | None:
    func = lazies[nodes[0]].task.func
    node = -1
    try:
        for node in nodes:
            first, second = links[node]
            value = func(values[first], values[second])
            if type(value) in LAZY_TYPES:
                return Stopped(node, values, None, value)
            values[node] = value
    except BaseException as error:  # noqa: BLE001 - as above
        return Stopped(node, values, error)
    return None


def _call_triples(nodes: Sequence[int], links: Links, lazies: Lazies, values: list[Any]) -> Stopped | None:
    func = lazies[nodes[0]].task.func
    node = -1
    try:
        for node in nodes:
            first, second, third = links[node]
            value = func(values[first], values[second], values[third])
            if type(value) in LAZY_TYPES:
                return Stopped(node, values, None, value)
            values[node] = value
    except BaseException as error:  # noqa: BLE001 - as above
        return Stopped(node, values, error)
    return None


def _call_others(nodes: Sequence[int], links: Links, lazies: Lazies, values: list[Any]) -> Stopped | None:
    node = -1
    try:
        for node in nodes:
            lazy = lazies[node]
            args, kwargs = arguments(links[node], lazy, values)
            value = lazy.task.func(*args, **kwargs)
            if type(value) in LAZY_TYPES:
                return Stopped(node, values, None, value)
            values[node] = value
    except BaseException as error:  # noqa: BLE001 - as above
        return Stopped(node, values, error)
    return None


_LOOPS: tuple[MakeCalls, ...] = (_call_leaves, _call_singles, _call_pairs, _call_triples)
"""By how many other calls fill all the arguments of a call; in the first, none does."""


def arguments(link: Any, lazy: LazyResult[Any], values: list[Any]) -> tuple[Iterable[Any], dict[str, Any]]:
    """Return the arguments of a call; `values` are those of the nodes, by position."""
    if link is None:
        return lazy.args, lazy.kwargs
    if type(link) is int:
        return (values[link],), {}
    if type(link) is Inputs:
        return link.fill(lazy, values)
    return [values[source] for source in link], {}
