"""The one walker for nested arguments: finds what stands for a value, and puts values in its place.

Exact lists, tuples and dicts are searched; anything else is a literal. A *marker* is an object that stands for a
value: a lazy result, a router, an injection, a quotation. Markers are found in a fixed order: arguments by position,
then by name in the order of the names, containers from the left. So the k-th marker of a call is the same one each
time, in whatever order the keywords were written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import chain, islice
from typing import Any, NamedTuple, TypeAlias, TypeVar

from cascade.spec.errors import SpecError

_Class = TypeVar("_Class", bound=type)

Arguments: TypeAlias = tuple[Any, ...]
"""The positional arguments of a call."""

Keywords: TypeAlias = dict[str, Any]
"""The keyword arguments of a call."""

Container: TypeAlias = Any
"""A list, a tuple, a dict or a set, as its exact type says."""

_markers: set[type] = set()
_containers: frozenset[type] = frozenset({list, tuple, dict, set, frozenset})
_SEQUENCES = frozenset({list, tuple})
_hashable_containers: frozenset[type] = frozenset({tuple, frozenset})
# What makes a container worth a closer look; one that holds none of these is passed at the speed of `map(type, ...)`.
_interesting: set[type] = set(_containers)


def marker(cls: _Class) -> _Class:
    """Declare `cls` a marker: a class decorator for the few classes of this package that are one."""
    _markers.add(cls)
    _interesting.add(cls)
    return cls


def is_marker(value: object) -> bool:
    """Return whether `value` stands for another value."""
    return type(value) in _markers


class Slot(NamedTuple):
    """Where a value goes in a call: the argument by position or name, then the way inside it.

    In `f([a, b])`, `b` goes to `Slot(0, (1,))`. The entry of a dict is its position: in `f(x={"k": a})`, `a` goes
    to `Slot("x", (0,))`.
    """

    argument: int | str
    steps: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.argument}" + "".join(f"[{step}]" for step in self.steps)


class Found(NamedTuple):
    """A marker and where it stands."""

    slot: Slot
    marker: object


def find_markers(args: Arguments, kwargs: Keywords, barren: set[int] | None = None) -> list[Found]:
    """Return the markers in the arguments of one call, in the walker's order.

    `barren` has the ids of containers that are known to hold no marker; more are added to it. Use it for a series of
    calls during which nothing can change the containers.

    Takes O(size of the arguments), also when many places share one container; a marker in a shared container counts
    once for each place.

    Raises:
        SpecError: If a marker is a set member or a dict key, or stands in a container that contains itself.
    """
    # Once per node of every graph: most calls have neither a marker nor a container in them.
    if not kwargs and _interesting.isdisjoint(map(type, args)):
        return []
    found: list[Found] = []
    for arguments in (enumerate(args), sorted_items(kwargs)):
        for argument, value in arguments:
            kind = type(value)
            if kind in _interesting:
                if kind in _markers:
                    found.append(Found(slot_of(argument), value))
                elif barren is None or id(value) not in barren:
                    inside = _search(value)
                    found.extend(Found(Slot(argument, steps), inner) for steps, inner in inside)
                    if barren is not None and not inside:
                        barren.add(id(value))
    return found


def sorted_items(kwargs: Keywords) -> Iterable[tuple[str, object]]:
    """Return the keyword arguments in the order of their names: the order in the code is no part of a structure."""
    return [(name, kwargs[name]) for name in sorted(kwargs)] if len(kwargs) > 1 else kwargs.items()


@lru_cache(maxsize=1024, typed=True)
def slot_of(argument: int | str) -> Slot:
    """Return the slot of a whole argument; calls come in few shapes, so most of these are there already."""
    return Slot(argument)


class _Open(NamedTuple):
    """A container that the search is inside of, and how many markers were found before it."""

    key: int
    rest: Iterator[tuple[int, object]]
    found_before: int


def _search(root: object) -> list[tuple[tuple[int, ...], object]]:
    """Find the markers inside a container: their steps and themselves, from the left."""
    found: list[tuple[tuple[int, ...], object]] = []
    if not holds_inside(root) or not _may_hold_markers(root):
        return found
    barren: set[int] = set()  # containers without a marker, by id: nothing is searched twice for nothing
    steps: list[int] = []
    path = [_Open(id(root), _children(root), 0)]
    inside = {id(root)}
    cyclic = False
    while path:
        for step, value in path[-1].rest:
            kind = type(value)
            if kind in _markers:
                found.append(((*steps, step), value))
            elif kind in _containers and id(value) not in barren:
                if id(value) in inside:
                    cyclic = True
                elif not _may_hold_markers(value):
                    barren.add(id(value))
                else:
                    path.append(_Open(id(value), _children(value), len(found)))
                    inside.add(id(value))
                    steps.append(step)
                    break
        else:
            left = path.pop()
            inside.discard(left.key)
            if len(found) == left.found_before:
                barren.add(left.key)
            if steps:
                steps.pop()
    if cyclic and found:
        raise SpecError(
            "a container holds itself and a lazy result", "pass the lazy result in one that does not"
        )
    return found


def has_types(values: Iterable[object], types: Collection[type]) -> bool:
    """Return whether one of the values is exactly of one of these types."""
    return not _kinds_of(values).isdisjoint(types)


def _kinds_of(values: Iterable[object]) -> set[type]:
    """Return the types of some values."""
    # Values are mostly of one type, and counting is faster than looking each one up: 12 ns a value against 20.
    # In parts, as new memory for a million types at once takes ten times as long as they do.
    kinds: set[type] = set()
    parts: Iterator[Iterable[type]]
    if type(values) is list:  # by slices, as `islice` costs as much again
        parts = (map(type, values[begin : begin + _PART]) for begin in range(0, len(values), _PART))
    else:
        rest = map(type, values)
        parts = iter(lambda: islice(rest, _PART), None)
    for part in parts:
        met = [*part]
        if not met:
            break
        first = met[0]
        if met.count(first) == len(met):
            kinds.add(first)
        else:
            kinds.update(met)
    return kinds


_PART = 4096
_FEW = 16
_SHALLOW = 2


def holds_inside(container: Container) -> bool:
    """Return whether a marker is inside a container, at any depth; as a dict key or the member of a set too.

    Goes level by level, so that a value costs no more than looking at its type. Watched by the observatory's workload
    `returned_numbers`.
    """
    if len(container) <= _FEW and type(container) in _SEQUENCES:
        for each in container:
            if type(each) in _interesting:
                break
        else:
            return False
    level: list[Container] = [container]
    seen: set[int] = set()
    depth = 0
    while level:
        kinds = _kinds_of(_members(level))
        if not kinds.isdisjoint(_markers):
            return True
        inner = kinds & _containers
        if not inner:
            return False
        level = [each for each in _members(level) if type(each) in inner]
        depth += 1
        # Each container once, as they may share parts or hold themselves; but not where that takes longer than to look.
        if depth > _SHALLOW or sum(map(len, level)) > 8 * len(level):
            new = dict(zip(map(id, level), level, strict=True))
            level = [each for key, each in new.items() if key not in seen]
            seen.update(new)
    return False


def _members(level: list[Container]) -> Iterable[object]:
    """Return the members of some containers, both keys and values of dicts."""
    if len(level) == 1 and type(level[0]) is list:
        only: list[object] = level[0]
        return only
    dicts = [each.values() for each in level if type(each) is dict]
    return chain(chain.from_iterable(level), chain.from_iterable(dicts))


def _children(container: Container) -> Iterator[tuple[int, object]]:
    return enumerate(container.values() if type(container) is dict else container)


def _may_hold_markers(container: Container) -> bool:
    if type(container) is dict:
        _refuse_markers(container, "a dict key", "use it as the value of an entry")
        return has_types(container.values(), _interesting)
    if type(container) in (set, frozenset):
        _refuse_markers(container, "a member of a set", "pass a list")
        return False
    return has_types(container, _interesting)


def _refuse_markers(values: Collection[object], place: str, remedy: str) -> None:
    """Raise if markers are among hashed values, or in the tuples and frozen sets among these."""
    pending = [values]
    while pending:
        group = pending.pop()
        if not _markers.isdisjoint(map(type, group)):
            culprit = next(value for value in group if is_marker(value))
            raise SpecError(f"{culprit!r} is {place}", remedy)
        if not _hashable_containers.isdisjoint(map(type, group)):
            pending.extend(value for value in group if isinstance(value, (tuple, frozenset)))


def fill(
    args: Arguments, kwargs: Keywords, slots: Sequence[Slot], values: Sequence[object]
) -> tuple[Arguments, Keywords]:
    """Return the arguments with `values[k]` at `slots[k]`.

    Containers on the way to a slot are copied, all other values are passed on as they are.
    """
    new_args: list[object] = list(args)
    new_kwargs = dict(kwargs)
    nested: dict[int | str, list[tuple[tuple[int, ...], object]]] = {}
    for slot, value in zip(slots, values, strict=True):
        if slot.steps:
            nested.setdefault(slot.argument, []).append((slot.steps, value))
        elif isinstance(slot.argument, int):
            new_args[slot.argument] = value
        else:
            new_kwargs[slot.argument] = value
    for argument, changes in nested.items():
        if isinstance(argument, int):
            new_args[argument] = _with_changes(new_args[argument], changes)
        else:
            new_kwargs[argument] = _with_changes(new_kwargs[argument], changes)
    return tuple(new_args), new_kwargs


def value_at(args: Arguments, kwargs: Keywords, slot: Slot) -> Any:
    """Return what stands at a slot of the arguments."""
    value: Container = args[slot.argument] if isinstance(slot.argument, int) else kwargs[slot.argument]
    for step in slot.steps:
        value = [*value.values()][step] if type(value) is dict else value[step]
    return value


class _Copy:
    """A container on the way to a slot: its items as a list, and the containers below it that change too."""

    __slots__ = ("below", "items", "original")

    def __init__(self, original: Container) -> None:
        self.original = original
        self.items: list[object] = list(original.values() if type(original) is dict else original)
        self.below: dict[int, _Copy] = {}

    def finished(self) -> object:
        if type(self.original) is dict:
            return dict(zip(self.original, self.items, strict=True))
        return tuple(self.items) if type(self.original) is tuple else self.items


def _with_changes(container: object, changes: list[tuple[tuple[int, ...], object]]) -> object:
    top = _Copy(container)
    made = [(top, top, 0)]  # each copy, the one above it, and its place there; parents come first
    for steps, value in changes:
        copy = top
        for step in steps[:-1]:
            if step not in copy.below:
                copy.below[step] = _Copy(copy.items[step])
                made.append((copy.below[step], copy, step))
            copy = copy.below[step]
        copy.items[steps[-1]] = value
    for copy, above, step in reversed(made[1:]):
        above.items[step] = copy.finished()
    return top.finished()


def holds_marker(value: object) -> bool:
    """Return whether a value is a marker or a container with one inside."""
    kind = type(value)
    return kind in _interesting and (kind in _markers or holds_inside(value))


def any_holds_marker(values: Iterable[object]) -> bool:
    """Return whether one of the values is a marker or a container with one inside; each container is looked at once."""
    looked_into = {id(value): value for value in values if type(value) in _interesting}
    return any(map(holds_marker, looked_into.values()))


LOOKED_INTO = _interesting
"""The types whose values `holds_marker` has to look at; values of all others are literals."""
