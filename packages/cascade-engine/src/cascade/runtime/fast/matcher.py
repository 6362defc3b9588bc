"""Matching: whether a tree has a plain structure that is known, seen in one pass that gives its lazy results as well.

The pass collects the lazy results among the arguments of each call, call by call in the order of the builder. So the
first places of nodes stand in the order of their positions; at the other places a node that was met before stands
again, the same one. Calls of one form that follow each other are taken in one loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from itertools import compress, groupby, islice, pairwise
from operator import is_, itemgetter
from typing import Any, NamedTuple, Protocol

from cascade.graph.plain_structure import Form, Listed, PlainStructure, sources_of, whole_slots
from cascade.runtime.programs.plain_values import Lazies
from cascade.spec.calls.arguments import LOOKED_INTO, any_holds_marker, holds_marker
from cascade.spec.lazy_types import SINGLE_CALLS, Lazy, LazyResult
from cascade.spec.policies.declared import NO_POLICIES
from cascade.spec.policies.generated import policy_key
from cascade.spec.resource import Inject

LONG = 8
"""So many calls of one form have a loop of their own."""


class PlainMatcher:
    """Gives the lazy results of a tree in the order of its structure, or `None` if it has another one."""

    __slots__ = ("_is_chain", "_is_first", "_is_repeated", "_size", "_stretches", "_take_repeated")

    def __init__(self, structure: PlainStructure) -> None:
        rows = _Rows(structure)
        self._size = len(structure)
        self._is_chain = all(link is None or type(link) is int for link in structure.links)
        repeated = rows.repeated
        self._take_repeated = itemgetter(*repeated, *repeated[:1]) if repeated else None
        self._is_first = bytes(rows.is_first)
        self._is_repeated = bytes(not each for each in rows.is_first)
        self._stretches = tuple(_stretches(rows.rows))

    def __call__(self, target: LazyResult[Any]) -> Lazies | None:
        places = [target]
        for stretch in self._stretches:
            if not stretch.take(places):
                return None
        if self._is_chain:
            return places
        lazies = places
        if self._take_repeated is not None:
            lazies = list(compress(places, self._is_first))
            known = self._take_repeated(lazies)
            if not all(map(is_, compress(places, self._is_repeated), known)):
                return None
        # Sharing is part of the structure: what were two lazy results are two again.
        return lazies if len(set(lazies)) == self._size else None


def make_matcher(structure: PlainStructure) -> PlainMatcher | None:
    """Return the matcher of a structure; `None` if it has containers that only the builder knows its way in."""
    return None if any(form.containers for form in structure.forms) else PlainMatcher(structure)


class _Row(NamedTuple):
    """A call: its form, the place where it is met first, and the one where its own lazy results begin."""

    form: Form
    place: int
    begin: int


class _Rows:
    """The calls of a structure in the order in which they are looked at, and what stands at each place."""

    def __init__(self, structure: PlainStructure) -> None:
        self.rows: list[_Row] = []
        self.is_first = bytearray(b"\1")
        self.repeated: list[int] = []
        first_places = [0]
        for position in structure.expansion():
            form = structure.forms[structure.kinds[position]]
            self.rows.append(_Row(form, first_places[position], len(self.is_first)))
            for source in sources_of(structure.links[position]):
                is_first = source == len(first_places)
                if is_first:
                    first_places.append(len(self.is_first))
                else:
                    self.repeated.append(source)
                self.is_first.append(is_first)


class _Stretch(Protocol):
    """Calls that are looked at one after the other."""

    def take(self, places: list[Any]) -> bool:
        """Append the lazy results in the arguments of these calls; return whether the calls are what they should be."""


def _stretches(rows: list[_Row]) -> Iterator[_Stretch]:
    others: list[_Row] = []
    for form, group in groupby(rows, itemgetter(0)):
        alike = list(group)
        stretch = _stretch_of(form, alike) if len(alike) >= LONG else None
        if stretch is None:
            others += alike
            continue
        if others:
            yield _Others(others)
            others = []
        yield stretch
    if others:
        yield _Others(others)


def _stretch_of(form: Form, rows: list[_Row]) -> _Stretch | None:
    """Return the loop for calls of one form; `None` if there is none for it."""
    if form.names or (form.injected and form.slots):
        return None
    if not form.slots:
        return _Leaves(form, [row.place for row in rows])
    if form.slots != whole_slots(form.arity):
        return None
    if form.arity == 1 and all(row.begin == following.place for row, following in pairwise(rows)):
        return _Chain(form, rows[0].place, len(rows))
    return _Nodes(form, [row.place for row in rows])


class _Chain:
    """Calls each of which has the next one as its only argument."""

    __slots__ = ("_length", "_place", "_policies", "_serial")

    def __init__(self, form: Form, place: int, length: int) -> None:
        self._serial = form.serial
        self._policies = form.policies
        self._place = place
        self._length = length

    def take(self, places: list[Any]) -> bool:
        # Once per node of every chain: watched by observatory/benchmarks/bench_graphs.py.
        lazy = first = places[self._place]
        kind = type(first)
        if kind not in SINGLE_CALLS or first.task.serial != self._serial:
            return False
        task, append = lazy.task, places.append
        begin = len(places)
        try:
            for _ in range(self._length):
                if type(lazy) is not kind or lazy.task is not task or lazy.kwargs:
                    return False
                (lazy,) = lazy.args
                append(lazy)
        except ValueError:  # more arguments than one, or none
            return False
        return have_policies(first, islice(places, begin, begin + self._length - 1), self._policies)


class _Leaves:
    """Calls that have literals for arguments, by position."""

    __slots__ = ("_arity", "_injected", "_lazies", "_policies", "_serial")

    def __init__(self, form: Form, places: list[int]) -> None:
        self._serial = form.serial
        self._policies = form.policies
        self._injected = [
            (each.argument, each.resource)
            for each in reversed(form.injected)
            if isinstance(each.argument, int)
        ]
        self._arity = form.arity
        side_by_side = places[-1] - places[0] == len(places) - 1
        self._lazies = itemgetter(slice(places[0], places[-1] + 1)) if side_by_side else itemgetter(*places)

    def take(self, places: list[Any]) -> bool:
        # Once per node of every fan-out: watched by observatory/benchmarks/bench_graphs.py.
        lazies, arity = self._lazies(places), self._arity
        first = lazies[0]
        kind = type(first)
        if kind not in SINGLE_CALLS or first.task.serial != self._serial:
            return False
        task = first.task
        literals: list[Any] = []
        for lazy in lazies:
            if type(lazy) is not kind or lazy.task is not task or lazy.kwargs:
                return False
            args = lazy.args
            if len(args) != arity:
                return False
            literals += args
        if not have_policies(first, lazies, self._policies):
            return False
        for at, resource in self._injected:  # the last one first, so that the others keep their places
            if not _stand_for(literals[at::arity], resource):
                return False
            del literals[at::arity]
            arity -= 1
        return LOOKED_INTO.isdisjoint(map(type, literals)) or not any_holds_marker(literals)


class _Nodes:
    """Calls that have other calls for arguments, by position."""

    __slots__ = ("_arity", "_places", "_policies", "_serial")

    def __init__(self, form: Form, places: list[int]) -> None:
        self._serial = form.serial
        self._policies = form.policies
        self._arity = form.arity
        self._places = tuple(places)

    def take(self, places: list[Any]) -> bool:
        # Once per node of every layered graph: watched by observatory/benchmarks/bench_graphs.py.
        first, arity = places[self._places[0]], self._arity
        kind = type(first)
        if kind not in SINGLE_CALLS or first.task.serial != self._serial:
            return False
        task = first.task
        for place in self._places:
            lazy = places[place]
            if type(lazy) is not kind or lazy.task is not task or lazy.kwargs:
                return False
            args = lazy.args
            if len(args) != arity:
                return False
            places += args
        return have_policies(first, map(places.__getitem__, self._places), self._policies)


class _Others:
    """Calls of any forms."""

    __slots__ = ("_forms", "_places")

    def __init__(self, rows: list[_Row]) -> None:
        forms = {row.form: _arguments(row.form) for row in rows}
        self._places = tuple(row.place for row in rows)
        self._forms = tuple(forms[row.form] for row in rows)

    def take(self, places: list[Any]) -> bool:  # noqa: C901 - a function per node would cost as much
        # Once per node of every graph: watched by observatory/benchmarks/bench_graphs.py.
        searched: Any = None  # the last container: calls that follow each other often share one
        for place, known in zip(self._places, self._forms, strict=True):
            serial, arity, names, literals, taken, policies, injected = known
            lazy = places[place]
            if type(lazy) not in SINGLE_CALLS or lazy.task.serial != serial:
                return False
            own = lazy.policies
            if (None if own is NO_POLICIES else policy_key(own)) != policies:
                return False
            args, kwargs = lazy.args, lazy.kwargs
            if len(args) != arity:
                return False
            if (kwargs or names) and (*kwargs,) != names and (*sorted(kwargs),) != names:
                return False
            for at in literals:
                value = args[at] if type(at) is int else kwargs[at]
                if type(value) in LOOKED_INTO and value is not searched:
                    if holds_marker(value):
                        return False
                    searched = value
            if injected and not _are_resources(lazy, injected):
                return False
            for at, length in taken:
                value = args[at] if type(at) is int else kwargs[at]
                if length is None:
                    places.append(value)
                elif type(value) is not list or len(value) != length:
                    return False
                else:
                    places += value
        return True


class _Arguments(NamedTuple):
    """A form by its arguments: those that are literals, and those that are lazy results or lists of so many."""

    serial: int
    arity: int
    names: tuple[str, ...]
    literals: tuple[Any, ...]
    taken: tuple[tuple[Any, int | None], ...]
    policies: Hashable
    injected: tuple[tuple[Any, str], ...]


def _arguments(form: Form) -> _Arguments:
    taken = tuple((slot.argument, slot.length if isinstance(slot, Listed) else None) for slot in form.slots)
    injected = tuple((each.argument, each.resource) for each in form.injected)
    filled = {argument for argument, _ in (*taken, *injected)}
    literals = tuple(argument for argument in (*range(form.arity), *form.names) if argument not in filled)
    return _Arguments(form.serial, form.arity, form.names, literals, taken, form.policies, injected)


def _are_resources(lazy: Lazy, injected: tuple[tuple[Any, str], ...]) -> bool:
    """Tell whether these arguments of a call stand for these resources."""
    given = ((lazy.args[at] if type(at) is int else lazy.kwargs[at], name) for at, name in injected)
    return all(_stand_for((value,), name) for value, name in given)


def _stand_for(values: Sequence[Any], resource: str) -> bool:
    """Tell whether values stand for a resource; often it is one object in all calls."""
    return all(
        type(value) is Inject and value.name == resource
        for value in {id(each): each for each in values}.values()
    )


def have_policies(first: Lazy, lazies: Iterable[Lazy], key: Hashable) -> bool:
    """Tell whether calls of one task have the policies of a form; they are all of the class of the first one."""
    known = first.policies
    if (None if known is NO_POLICIES else policy_key(known)) != key:
        return False
    if type(first) is LazyResult:
        return True  # those of its task
    # Most calls share the parts of their policies, if not the whole.
    for lazy in lazies:
        policies = lazy.policies
        if policies is not known:
            if not all(map(is_, policies, known)) and policy_key(policies) != key:
                return False
            known = policies
    return True
