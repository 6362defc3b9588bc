"""Plain reading: the columns of a plain tree, in one loop over its calls.

A large tree that runs once spends most of its time here. So what has to be known of a call is found out once for all
calls of one task with arguments of the same types. What is not plain is left to the builder.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Any, NamedTuple

from cascade.graph.plain_structure import Form, Injection, Inputs, Link, Listed, PlainStructure
from cascade.graph.tree import Entries, Tree, container_kinds, injected_defaults
from cascade.spec.calls.arguments import LOOKED_INTO, Slot, find_markers, is_marker, slot_of, sorted_items
from cascade.spec.errors import CallError, SpecError
from cascade.spec.lazy_types import SINGLE_CALLS, ConfiguredLazyResult, Lazy, LazyResult
from cascade.spec.policies.declared import NO_POLICIES, POLICIES, Policies
from cascade.spec.policies.generated import policy_key
from cascade.spec.resource import Inject


class _Shape(NamedTuple):
    """How calls of one task with arguments of the same types are read.

    `kind` is the number of their form; it is below 0 if the form depends on what their containers hold, or on which
    resources those arguments name that are `injected`. `places` are the arguments that are lazy results, or `None` if
    all arguments are.
    """

    kind: int
    slots: tuple[Slot | Listed, ...]
    places: tuple[int | str, ...] | None
    injected: tuple[int | str, ...] = ()


class _ContainerCall(NamedTuple):
    """How one call with containers is read, and the lazy results in it, in the order of its slots."""

    kind: int
    slots: tuple[Slot | Listed, ...]
    children: list[Lazy]
    nested: bool


class _Forms:
    """The forms of one tree, numbered in the order in which they are found."""

    def __init__(self) -> None:
        self.numbers: dict[Form, int] = {}
        self.samples: list[int] = []
        self._by_parts: dict[tuple[int, ...], int | None] = {}
        self._by_key: dict[Hashable, int | None] = {}
        self._policy_keys: list[Hashable] = []
        # Ids of literals that hold no lazy result: many calls may share a large one, which is searched once.
        self._literal_ids: set[int] = set()

    def shape(self, lazy: Lazy, position: int) -> _Shape | None:
        """Return how calls like this one are read; `None` if they are not plain, or do not fit their task."""
        task, names = lazy.task, tuple(sorted(lazy.kwargs))
        try:
            task.check_call(len(lazy.args), names)
        except CallError:
            return None  # the builder raises the error and says where the call is
        if self.policies_number(lazy.policies) is None:
            return None
        arguments = _arguments(lazy)
        places = tuple(place for place, value in arguments if type(value) in SINGLE_CALLS)
        injected = tuple(place for place, value in arguments if type(value) is Inject)
        others = [value for _, value in arguments if type(value) not in _FILLED]
        if any(map(is_marker, others)):
            return None
        slots = tuple(map(slot_of, places))
        if not LOOKED_INTO.isdisjoint(map(type, others)):
            return _Shape(-1, (), ())
        if injected:
            return _Shape(-1, slots, places, injected)
        kind = self._number(self._form(lazy, slots), position)
        return _Shape(kind, slots, places if names or others else None)

    def injected_shape(self, lazy: Lazy, shape: _Shape, position: int) -> _Shape:
        """Return how a call is read that is given these resources."""
        behind, injected = 0, []
        for argument, value in _arguments(lazy):
            behind += argument in (shape.places or ())
            if type(value) is Inject:
                injected.append(Injection(argument, value.name, behind))
        form = self._form(lazy, shape.slots)._replace(injected=tuple(injected), has_row=True)
        return _Shape(self._number(form, position), shape.slots, shape.places)

    def policies_number(self, policies: Policies) -> int | None:
        """Return the number of these policies, by value; `None` if there are lazy results in them."""
        # Most lazy results share the parts of their policies, if not the whole. The tree keeps them alive meanwhile.
        parts = tuple(map(id, policies))
        if parts in self._by_parts:
            return self._by_parts[parts]
        key = None if policies is NO_POLICIES else policy_key(policies)
        if key not in self._by_key:
            is_plain = not any(_lazies_in(policies))
            self._by_key[key] = len(self._policy_keys) if is_plain else None
            self._policy_keys.append(key)
        number = self._by_parts[parts] = self._by_key[key]
        return number

    def _form(self, lazy: Lazy, slots: tuple[Slot | Listed, ...]) -> Form:
        """Return the form of a plain call but for its containers and the resources among its arguments."""
        task, policies = lazy.task, lazy.policies
        number = self.policies_number(policies)
        assert number is not None
        defaults = injected_defaults(lazy) if task.injected else ()
        amounts = policies.constraints is not None
        has_row = bool(task.injected) or amounts
        names = tuple(sorted(lazy.kwargs))
        key = self._policy_keys[number]
        return Form(task.serial, len(lazy.args), names, slots, (), key, (), defaults, amounts, has_row)

    def container_call(self, lazy: Lazy, position: int) -> _ContainerCall | None:
        """Return how a call with containers is read; `None` if it is not plain."""
        slots: list[Slot | Listed] = []
        children: list[Lazy] = []
        containers: list[tuple[type, ...]] = []
        injected: list[Injection] = []
        entries: Entries = {}
        for argument, value in _arguments(lazy):
            if type(value) in SINGLE_CALLS:
                slots.append(slot_of(argument))
                children.append(value)
            elif type(value) is Inject:
                injected.append(Injection(argument, value.name, len(children)))
            elif type(value) is list and value and _LAZY_ALONE.issuperset(map(type, value)):
                slots.append(Listed(argument, len(value)))
                children += value
            elif type(value) in LOOKED_INTO:
                try:
                    found = find_markers((value,), {}, self._literal_ids)
                except SpecError:
                    return None  # the builder raises the error and says where
                for (_, steps), marker in found:
                    if not isinstance(marker, LazyResult) or type(marker) not in SINGLE_CALLS:
                        return None
                    slot = Slot(argument, steps)
                    slots.append(slot)
                    children.append(marker)
                    containers.append(container_kinds(lazy, slot, entries))
        form = self._form(lazy, tuple(slots))._replace(containers=tuple(containers))
        if injected:
            form = form._replace(injected=tuple(injected), has_row=True)
        return _ContainerCall(self._number(form, position), form.slots, children, bool(containers))

    def _number(self, form: Form, position: int) -> int:
        number = self.numbers.setdefault(form, len(self.numbers))
        if number == len(self.samples):
            self.samples.append(position)
        return number


_LAZY_ALONE = frozenset(SINGLE_CALLS)
_FILLED = frozenset({*SINGLE_CALLS, Inject})


def _lazies_in(policies: Policies) -> Iterator[bool]:
    for row, value in zip(POLICIES, policies, strict=True):
        yield from (True for _ in row.form.lazies(value))


def _arguments(lazy: Lazy) -> list[tuple[int | str, Any]]:
    return [*enumerate(lazy.args), *sorted_items(lazy.kwargs)]


def read_plain(target: Lazy) -> Tree | None:  # noqa: C901 - a function per node would cost as much
    """Return the columns of a plain tree; `None` if it is not plain, or a call does not fit its task.

    Takes O(size of the tree), however deep it is.
    """
    # Once per node of every graph that is new: watched by observatory/benchmarks/bench_graphs.py.
    if type(target) not in SINGLE_CALLS:
        return None
    # Every look-up here counts: so names are bound outside of the loop, columns are plain lists, and the two cases of
    # one child and of several are written out. One child, as in a chain, needs no list of sources.
    forms = _Forms()
    shapes: dict[tuple[object, ...], _Shape] = {}
    numbers: dict[int, int | None] = {}  # of policies, by the id of each
    lazies: list[Lazy] = [target]
    positions = {target: 0}
    links: list[Link] = [None]
    kinds = [0]
    pending = [0]
    size = 1
    while pending:
        position = pending.pop()
        lazy = lazies[position]
        args, kwargs = lazy.args, lazy.kwargs
        # Calls of one task with arguments of the same types are read alike, unless a container is among them.
        key = (lazy.task, *map(type, args))
        if kwargs:
            key = (*key, *kwargs, *map(type, kwargs.values()))
        if type(lazy) is ConfiguredLazyResult:
            policies = lazy.policies
            number = numbers.get(id(policies), -1)
            if number == -1:
                number = numbers[id(policies)] = forms.policies_number(policies)
            key = (number, *key)
        shape = shapes.get(key)
        if shape is None:
            shape = forms.shape(lazy, position)
            if shape is None:
                return None
            shapes[key] = shape
        if shape.injected:
            key = (key, *[(args[at] if isinstance(at, int) else kwargs[at]).name for at in shape.injected])
            known_shape = shapes.get(key)
            if known_shape is None:
                known_shape = shapes[key] = forms.injected_shape(lazy, shape, position)
            shape = known_shape
        kind, slots, places, _ = shape
        children: Sequence[Lazy] = args
        nested = False
        if kind < 0:
            found = forms.container_call(lazy, position)
            if found is None:
                return None
            kind, slots, children, nested = found
        elif places:
            children = [args[place] if isinstance(place, int) else kwargs[place] for place in places]
        kinds[position] = kind
        if not slots:
            continue
        if len(children) == 1:
            child = children[0]
            source = positions.get(child)
            if source is None:
                source = positions[child] = size
                lazies.append(child)
                links.append(None)
                kinds.append(0)
                pending.append(size)
                size += 1
            links[position] = source if places is None else Inputs(slots, (source,), nested)
            continue
        known = size
        sources = []
        for child in children:
            source = positions.get(child)
            if source is None:
                source = positions[child] = size
                lazies.append(child)
                links.append(None)
                kinds.append(0)
                size += 1
            sources.append(source)
        links[position] = tuple(sources) if places is None else Inputs(slots, tuple(sources), nested)
        pending.extend(range(size - 1, known - 1, -1))  # in the order in which the builder numbers nodes
    return Tree(
        lazies, PlainStructure(tuple(links), tuple(kinds), tuple(forms.numbers), tuple(forms.samples))
    )
