"""Plain reading: the columns of a plain tree, in one loop over its calls.

A large tree that runs once spends much of its time here. So what has to be known of a call is found out once for all
calls of one task with arguments of the same types, and calls of one form that follow each other, as in a chain or a
fan-out, are taken together. What is not plain is left to the builder.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from cascade.graph.plain_structure import Form, Injection, Inputs, Link, Listed, PlainStructure
from cascade.graph.small_steps import STRETCH, Steps
from cascade.graph.tree import Entries, Tree, container_kinds, injected_defaults
from cascade.spec.calls.arguments import LOOKED_INTO, Slot, find_markers, is_marker, slot_of, sorted_items
from cascade.spec.errors import CallError, SpecError
from cascade.spec.lazy_types import SINGLE_CALLS, ConfiguredLazyResult, Lazy, LazyResult
from cascade.spec.policies.declared import NO_POLICIES, POLICIES, Policies
from cascade.spec.policies.generated import policy_key
from cascade.spec.resource import Inject
from cascade.spec.task import AnyTask


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


_LONG = 16
"""So many lazy results of one list, or calls that follow each other, are worth a loop of their own."""

_FEW = 64
"""Leaves that are taken together: where they are of several forms, so many of them are looked at in vain."""


class _Columns:
    """The columns of a tree while they grow; what they hold of many calls at once is written here.

    `repeated` has the positions of the lazy results that were met again, as often as they were.
    """

    def __init__(self, target: Lazy) -> None:
        self.lazies: list[Lazy] = [target]
        self.positions = {target: 0}
        self.links: list[Link] = [None]
        self.kinds = [0]
        self.repeated: list[int] = []
        self._of_several_forms: set[AnyTask] = set()  # tasks whose calls are better read one by one

    def add_all(self, children: Sequence[Lazy]) -> Sequence[int]:
        """Return the positions of many lazy results; those that are new become nodes."""
        positions, lazies = self.positions, self.lazies
        begin = len(lazies)
        different = set(children)
        if len(different) == len(children) and positions.keys().isdisjoint(different):
            found: Sequence[int] = range(begin, begin + len(children))
            positions.update(zip(children, found, strict=True))
            lazies += children
        else:
            found = []
            for child in children:
                size = len(lazies)
                source = positions.setdefault(child, size)
                if source == size:
                    lazies.append(child)
                else:
                    self.repeated.append(source)
                found.append(source)
        new = len(lazies) - begin
        self.links += [None] * new
        self.kinds += [0] * new
        return found

    def read_chain(self, kind: int) -> int:
        """Read calls of one form, each of which has the next one as its only argument; return the number of nodes.

        The first of them is the node that was found last. The last one that is found is still to be looked at.
        """
        # Once per node of every chain that is new: watched by observatory/benchmarks/bench_graphs.py.
        lazies, positions = self.lazies, self.positions
        lazy, begin = lazies[-1], len(lazies)
        task = lazy.task
        run: list[Lazy] = []
        append = run.append
        for _ in repeat(None, STRETCH):
            if type(lazy) is not LazyResult or lazy.task is not task or lazy.kwargs or len(lazy.args) != 1:
                break
            (lazy,) = lazy.args
            append(lazy)
        if run and type(run[-1]) not in SINGLE_CALLS:
            run.pop()
        if not positions.keys().isdisjoint(run):
            del run[next(index for index, each in enumerate(run) if each in positions) :]
        end = begin + len(run)
        positions.update(zip(run, range(begin, end), strict=True))
        lazies += run
        self.links[begin - 1 :] = [*range(begin, end), None]
        self.kinds[begin - 1 :] = [*repeat(kind, len(run)), 0]
        return end

    def read_leaves(self, first: Lazy, kind: int, begin: int, end: int) -> int:
        """Read calls like `first`, which has only literals for arguments; return the position of the first other one.

        They are nodes already, at the positions from `begin` to `end`. The first other one may come too early.
        """
        # Once per node of every fan-out that is new: watched by observatory/benchmarks/bench_graphs.py.
        task, arity, policies, cls = first.task, len(first.args), first.policies, type(first)
        if task in self._of_several_forms:
            return begin
        while begin < end:
            literals: list[Any] = []
            found = 0
            for lazy in self.lazies[begin : min(begin + _FEW, end)]:
                if type(lazy) is not cls or lazy.task is not task or lazy.kwargs:
                    break
                args = lazy.args
                if len(args) != arity or (cls is not LazyResult and lazy.policies is not policies):
                    break
                literals += args
                found += 1
            if not LOOKED_INTO.isdisjoint(map(type, literals)):
                self._of_several_forms.add(task)
                return begin
            self.kinds[begin : begin + found] = [kind] * found
            begin += found
            if found < _FEW:
                return begin
        return begin

    def tree(self, forms: _Forms) -> Tree:
        """Return the tree that has been read."""
        structure = PlainStructure(
            tuple(self.links),
            tuple(self.kinds),
            tuple(forms.numbers),
            tuple(forms.samples),
            tuple(self.repeated),
        )
        return Tree(self.lazies, structure)


def plain_steps(target: Lazy) -> Steps[Tree | None]:  # noqa: C901 - a function per node costs as much
    """Return the columns of a plain tree; `None` if it is not plain, or a call does not fit its task.

    Takes O(size of the tree), however deep it is, and a step for each few hundred calls.
    """
    # Once per node of every graph that is new: watched by observatory/benchmarks/bench_graphs.py.
    if type(target) not in SINGLE_CALLS:
        return None
    # Every look-up here counts: so names are bound outside of the loop, columns are plain lists, and the two cases of
    # one child and of several are written out. One child, as in a chain, needs no list of sources.
    forms = _Forms()
    columns = _Columns(target)
    lazies, links, kinds = columns.lazies, columns.links, columns.kinds
    place, repeated = columns.positions.setdefault, columns.repeated
    shapes: dict[tuple[object, ...], _Shape] = {}
    numbers: dict[int, int | None] = {}  # of policies, by the id of each
    known_task: object = (
        None  # calls of it with so many arguments, all of which are lazy results, have this shape
    )
    known_arity, known_shape = 0, _Shape(0, (), ())
    # Nodes are looked at from `position` to `end`; then those that lie on the stack, the last ones first.
    position, end, size = 0, 1, 1
    stack: list[tuple[int, int]] = []
    while True:
        for _ in repeat(None, STRETCH):
            if position == end:
                if not stack:
                    return columns.tree(forms)
                position, end = stack.pop()
            lazy = lazies[position]
            args, kwargs, task = lazy.args, lazy.kwargs, lazy.task
            if (
                task is known_task
                and type(lazy) is LazyResult
                and not kwargs
                and len(args) == known_arity
                and _LAZY_ALONE.issuperset(map(type, args))
            ):
                shape = known_shape
            else:
                # Calls of one task with arguments of the same types are read alike, unless a container is among them.
                key = (task, *map(type, args))
                if kwargs:
                    key = (*key, *kwargs, *map(type, kwargs.values()))
                if type(lazy) is ConfiguredLazyResult:
                    policies = lazy.policies
                    number = numbers.get(id(policies), -1)
                    if number == -1:
                        number = numbers[id(policies)] = forms.policies_number(policies)
                    key = (number, *key)
                found_shape = shapes.get(key)
                if found_shape is None:
                    found_shape = forms.shape(lazy, position)
                    if found_shape is None:
                        return None
                    shapes[key] = found_shape
                shape = found_shape
                if shape.injected:
                    named = [(args[at] if isinstance(at, int) else kwargs[at]).name for at in shape.injected]
                    key = (key, *named)
                    found_shape = shapes.get(key)
                    if found_shape is None:
                        found_shape = shapes[key] = forms.injected_shape(lazy, shape, position)
                    shape = found_shape
                elif shape.slots and shape.places is None and type(lazy) is LazyResult:
                    known_task, known_arity, known_shape = task, len(args), shape
            kind, slots, places, _ = shape
            children: Sequence[Lazy] = args
            nested = False
            if kind < 0:
                call = forms.container_call(lazy, position)
                if call is None:
                    return None
                kind, slots, children, nested = call
            elif places:
                children = [args[at] if isinstance(at, int) else kwargs[at] for at in places]
            kinds[position] = kind
            if not slots:
                position += 1
                if end - position >= _LONG and shape.kind >= 0 and not kwargs:
                    last = min(end, position + STRETCH)
                    position = columns.read_leaves(lazy, kind, position, last)
                    if position == last:
                        yield
                continue
            known = size
            if len(children) == 1:
                child = children[0]
                source = place(child, size)
                if source == size:
                    lazies.append(child)
                    links.append(None)
                    kinds.append(0)
                    size += 1
                else:
                    repeated.append(source)
                if places is not None:
                    links[position] = Inputs(slots, (source,), nested)
                else:
                    links[position] = source
                    if size > known and child.task is task and type(child) is type(lazy) is LazyResult:
                        size = columns.read_chain(kind)
                        if position + 1 < end:
                            stack.append((position + 1, end))
                        position, end = size - 1, size
                        if size - known >= STRETCH:
                            yield
                        continue
            else:
                sources: list[int] = []
                if len(children) >= _LONG:
                    for begin in range(0, len(children), _MANY):
                        sources += columns.add_all(children[begin : begin + _MANY])
                        if begin:
                            yield
                    size = len(lazies)
                else:
                    for child in children:
                        source = place(child, size)
                        if source == size:
                            lazies.append(child)
                            links.append(None)
                            kinds.append(0)
                            size += 1
                        else:
                            repeated.append(source)
                        sources.append(source)
                links[position] = tuple(sources) if places is None else Inputs(slots, tuple(sources), nested)
            position += 1
            if size > known:  # in the order in which the builder numbers nodes
                if position < end:
                    stack.append((position, end))
                position, end = known, size
        yield


_MANY = 8 * STRETCH
"""So many lazy results of one list are taken before somebody else may have a turn."""
