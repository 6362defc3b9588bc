"""Stretches: plain calls that follow each other in a plan, made in one loop.

The clock is looked at after each. Calls of one form have loops of their own: where none
of them needs the value of another of them, all their arguments are taken before the first call, and their values are
looked at after the last. Values stand in the plan's order, each behind those that it may need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from time import monotonic
from typing import Any, NamedTuple

from cascade.adapters.call_facts import CallFacts
from cascade.graph.plain_structure import Form, Inputs, Link, PlainStructure, sources_of
from cascade.runtime.fast.links_by_place import Group, takes_values_alone
from cascade.runtime.programs.call_sites import Names, makes_calls, plain_call
from cascade.runtime.programs.plain_values import GIVEN, LAZY_TYPES, Lazies, given, take_given
from cascade.runtime.programs.timed_calls import Ends, timed, with_resources
from cascade.spec.lazy_types import LazyResult

LONG = 8
"""So many calls of one form have a loop of their own."""

NEAR = 256
"""Inputs that stand so near each other are taken from a copy of that part alone: what it takes stays in the cache."""

Take = Callable[[list[Any]], Sequence[Any]]


class Stretch(NamedTuple):
    """The calls from one place in the plan's order up to another.

    `links` are by place. `take_lazies` takes the lazy results of these calls from all of them. `take_inputs` take the
    values of all first arguments, of all second ones, and so on, from the values between `low` and `high`; there are
    none where arguments are not taken beforehand. `needy` is the form of calls that take resources or amounts.
    """

    make_calls: MakeCalls
    begin: int
    end: int
    first: int
    links: Sequence[Any]
    take_lazies: Take
    low: int = 0
    high: int = 0
    take_inputs: tuple[Take, ...] = ()
    needy: Form | None = None


class Means(NamedTuple):
    """What calls are made with besides their arguments.

    `ends` is a list of whoever watches the calls, to which is appended when each has ended. `resources` has the values
    of open resources, by name.
    """

    ends: Ends | None
    resources: Mapping[str, Any]


MakeCalls = Callable[[Stretch, Lazies, list[Any], Means], bool]
"""Appends the values of calls; tells whether lazy results may be among them. After an error they are there so far."""


def stretches(
    structure: PlainStructure,
    groups: Iterable[Group],
    links: Sequence[Link],
    order: Sequence[int],
    longest: int,
) -> Iterator[Stretch]:
    """Split an order into stretches of at most so many calls."""
    begin = last = 0
    for kind, first, last in groups:
        form = structure.forms[kind]
        if is_needy(form):
            make_calls, needy = _needy_loop(form), form
        elif min(last - first, longest) >= LONG and _has_loop(form):
            make_calls, needy = _loop_of(form), None
        else:
            continue
        yield from _others(order, links, begin, first, longest)
        begin = last
        for each in range(first, last, longest):
            stretch = _stretch(make_calls, order, links, each, min(each + longest, last))
            yield stretch if needy is None else stretch._replace(needy=needy)
    yield from _others(order, links, begin, last, longest)


def gathered(stretch: Stretch, order: Sequence[int], links: Sequence[Link]) -> Iterator[Stretch]:
    """Split a stretch so that arguments are taken before the first call, where that can be."""
    gather = _GATHERED_LOOPS.get(stretch.make_calls)
    if gather is None or stretch.needy is not None:
        yield stretch
        return
    for first, last, independent in _runs(links, stretch.begin, stretch.end):
        if independent and last - first >= LONG:
            yield _gathered(gather, order, links, first, last)
        else:
            yield _stretch(stretch.make_calls, order, links, first, last)


def is_needy(form: Form) -> bool:
    """Tell whether calls take resources or amounts, which have to be there before they are made."""
    return form.holds_amounts or bool(form.resources)


def _needy_loop(form: Form) -> MakeCalls:
    if not form.slots and not form.names:
        return _LEAF_LOOPS.get(form.arity, _call_leaves)
    return _loop_of(form) if _has_loop(form) else _call_others


def _loop_of(form: Form) -> MakeCalls:
    return _LOOPS[form.arity] if form.slots else _LEAF_LOOPS.get(form.arity, _call_leaves)


def _has_loop(form: Form) -> bool:
    """Tell whether all arguments are literals, or all are the values of a few other calls."""
    if form.names:
        return False
    return not form.slots or (form.arity in _LOOPS and takes_values_alone(form))


def _others(
    order: Sequence[int], links: Sequence[Link], begin: int, end: int, longest: int
) -> Iterator[Stretch]:
    for each in range(begin, end, longest):
        yield _stretch(_call_others, order, links, each, min(each + longest, end))


def _runs(links: Sequence[Link], begin: int, end: int) -> Iterator[tuple[int, int, bool]]:
    """Split calls into runs; give for each one its ends, and True if no call in it needs the value of another."""
    independent = True
    for place in range(begin, end):
        needs_run = any(source >= begin for source in sources_of(links[place]))
        if needs_run and independent and place - begin >= LONG:
            yield begin, place, independent
            begin, independent = place, True
        else:
            independent = independent and not needs_run
    yield begin, end, independent


def _stretch(
    make_calls: MakeCalls, order: Sequence[int], links: Sequence[Link], begin: int, end: int
) -> Stretch:
    nodes = order[begin:end]
    return Stretch(make_calls, begin, end, nodes[0], links[begin:end], _taker(nodes))


def _gathered(
    make_calls: MakeCalls, order: Sequence[int], links: Sequence[Link], begin: int, end: int
) -> Stretch:
    """Return a stretch all of whose inputs are known before its first call."""
    sources = [sources_of(link) for link in links[begin:end]]
    low, high = min(map(min, sources)), max(map(max, sources)) + 1
    if high - low > NEAR:
        low = high = 0
    columns = ([source - low for source in column] for column in zip(*sources, strict=True))
    stretch = _stretch(make_calls, order, links, begin, end)
    return stretch._replace(low=low, high=high, take_inputs=tuple(map(_taker, columns)))


def part(stretch: Stretch, order: Sequence[int], links: Sequence[Link], begin: int, end: int) -> Stretch:
    """Return the stretch of some calls of a longer one."""
    make = _gathered if stretch.take_inputs else _stretch
    return make(stretch.make_calls, order, links, begin, end)._replace(needy=stretch.needy)


def one_by_one(stretch: Stretch) -> Stretch:
    """Return the same stretch; each value is looked at before the next call, as one that is awaited holds amounts."""
    return stretch._replace(make_calls=_ONE_BY_ONE.get(stretch.make_calls, stretch.make_calls))


def _function(stretch: Stretch, lazies: Lazies, means: Means, arity: int = 0) -> Callable[..., Any]:
    """Return the function of calls that are all of one task, with the resources that it takes, and timed."""
    func = lazies[stretch.first].task.func
    if stretch.needy is not None and stretch.needy.resources:
        func = with_resources(func, stretch.needy, means.resources)
    return timed(func, means.ends, arity)


def _taker(nodes: Sequence[int]) -> Take:
    """Return what takes the items of several nodes from a list."""
    first, last = nodes[0], nodes[-1]
    if [*nodes] == [*range(first, last + 1)]:
        return itemgetter(slice(first, last + 1))
    return itemgetter(*nodes)


def _called(names: Names) -> CallFacts:
    """Tell which call one of the functions below is making: there is a value of each call before it."""
    stretch = names["stretch"]
    lazies = stretch.take_lazies(names["lazies"])
    return plain_call(lazies[len(names["values"]) - stretch.begin])


# Each once per node of every plain graph: watched by observatory/benchmarks/bench_graphs.py.


@makes_calls(_called)
def _call_single_leaves(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means, 1), values.append
    for lazy in stretch.take_lazies(lazies):
        (first,) = lazy.args
        append(func(first))
    return take_given(values, stretch.begin)


@makes_calls(_called)
def _call_leaves(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means), values.append
    for lazy in stretch.take_lazies(lazies):
        append(func(*lazy.args))
    return take_given(values, stretch.begin)


@makes_calls(_called)
def _call_leaves_one_by_one(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means), values.append
    for lazy in stretch.take_lazies(lazies):
        value = func(*lazy.args)
        if GIVEN[type(value)]:
            value = given(value)
            append(value)
            if type(value) in LAZY_TYPES:
                return True
        else:
            append(value)
    return False


@makes_calls(_called)
def _call_gathered_singles(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means, 1), values.append
    near = values[stretch.low : stretch.high] if stretch.high else values
    (take,) = stretch.take_inputs
    for first in take(near):
        append(func(first))
    return take_given(values, stretch.begin)


@makes_calls(_called)
def _call_gathered_pairs(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means), values.append
    near = values[stretch.low : stretch.high] if stretch.high else values
    one, two = stretch.take_inputs
    for first, second in zip(one(near), two(near), strict=True):
        append(func(first, second))
    return take_given(values, stretch.begin)


@makes_calls(_called)
def _call_gathered_triples(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means), values.append
    near = values[stretch.low : stretch.high] if stretch.high else values
    one, two, three = stretch.take_inputs
    for first, second, third in zip(one(near), two(near), three(near), strict=True):
        append(func(first, second, third))
    return take_given(values, stretch.begin)


@makes_calls(_called)
def _call_singles(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means, 1), values.append
    for link in stretch.links:
        value = func(values[link])
        if GIVEN[type(value)]:
            value = given(value)
            append(value)
            if type(value) in LAZY_TYPES:
                return True
        else:
            append(value)
    return False


@makes_calls(_called)
def _call_pairs(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means), values.append
    for first, second in stretch.links:
        value = func(values[first], values[second])
        if GIVEN[type(value)]:
            value = given(value)
            append(value)
            if type(value) in LAZY_TYPES:
                return True
        else:
            append(value)
    return False


@makes_calls(_called)
def _call_triples(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    func, append = _function(stretch, lazies, means), values.append
    for first, second, third in stretch.links:
        value = func(values[first], values[second], values[third])
        if GIVEN[type(value)]:
            value = given(value)
            append(value)
            if type(value) in LAZY_TYPES:
                return True
        else:
            append(value)
    return False


@makes_calls(_called)
def _call_others(stretch: Stretch, lazies: Lazies, values: list[Any], means: Means) -> bool:
    append, ends = values.append, means.ends
    func = None if stretch.needy is None else _function(stretch, lazies, means._replace(ends=None))
    for link, lazy in zip(stretch.links, stretch.take_lazies(lazies), strict=True):
        args, kwargs = arguments(link, lazy, values)
        value = (func or lazy.task.func)(*args, **kwargs)
        if ends is not None:
            ends.append(monotonic())
        if GIVEN[type(value)]:
            value = given(value)
            append(value)
            if type(value) in LAZY_TYPES:
                return True
        else:
            append(value)
    return False


_LEAF_LOOPS: dict[int, MakeCalls] = {1: _call_single_leaves}
_LOOPS: dict[int, MakeCalls] = {1: _call_singles, 2: _call_pairs, 3: _call_triples}
"""By how many arguments a call has: literals, or values of calls before it."""

_GATHERED_LOOPS: dict[MakeCalls, MakeCalls] = {
    _call_singles: _call_gathered_singles,
    _call_pairs: _call_gathered_pairs,
    _call_triples: _call_gathered_triples,
}
"""The same where these values are known before the first call."""

_ONE_BY_ONE: dict[MakeCalls, MakeCalls] = {
    _call_single_leaves: _call_leaves_one_by_one,
    _call_leaves: _call_leaves_one_by_one,
    **{gather: loop for loop, gather in _GATHERED_LOOPS.items()},
}


def arguments(link: Any, lazy: LazyResult[Any], values: list[Any]) -> tuple[Iterable[Any], dict[str, Any]]:
    """Return the arguments of a call; `values` are those of other calls, in the order that its link is made for."""
    if link is None:
        return lazy.args, lazy.kwargs
    if type(link) is int:
        return (values[link],), {}
    if type(link) is Inputs:
        return link.fill(lazy, values)
    return [values[source] for source in link], {}
