"""Plain structures: calls that take values of other calls, and resources.

A plain tree has no routers, inputs, quoted values, conditions or orders, and no resource inside a container. Its calls
may have policies that hold no lazy result. Most trees are plain. Of such a tree only what tells it from others is kept;
calls and paths are made from that when they are asked for, since a large tree that runs once needs few of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple, TypeAlias

from cascade.graph.path import ROOT, StructurePath, segment_of
from cascade.graph.tree import NO_CALL, Call, Injected, Source, Structure
from cascade.spec.calls.arguments import Slot, fill, slot_of
from cascade.spec.lazy_types import Lazy


class Listed(NamedTuple):
    """All slots of an argument that is a list of `length` lazy results and nothing else; kept as one."""

    argument: int | str
    length: int


class Inputs(NamedTuple):
    """What fills a call that has literals among its arguments, or containers, or keywords.

    `slots` are filled from `sources`, the positions of nodes, in this order; a `Listed` takes several of them. `nested`
    says that some slot is neither a whole argument nor all of a list.
    """

    slots: tuple[Slot | Listed, ...]
    sources: tuple[int, ...]
    nested: bool

    def all_slots(self) -> Iterator[Slot]:
        """Give a slot for each source, in the order of `sources`."""
        for slot in self.slots:
            if isinstance(slot, Listed):
                yield from (Slot(slot.argument, (step,)) for step in range(slot.length))
            else:
                yield slot

    def fill(self, lazy: Lazy, values: Sequence[Any] | Mapping[int, Any]) -> Arguments:
        """Return the arguments of a call, positional and named; `values` are the values of all nodes, by position."""
        given = map(values.__getitem__, self.sources)
        if self.nested:
            return fill(lazy.args, lazy.kwargs, tuple(self.all_slots()), tuple(given))
        args, kwargs = [*lazy.args], lazy.kwargs
        for slot in self.slots:
            value = list(islice(given, slot.length)) if isinstance(slot, Listed) else next(given)
            if isinstance(slot.argument, int):
                args[slot.argument] = value
            else:
                kwargs = {**kwargs, slot.argument: value}
        return args, kwargs


Arguments: TypeAlias = tuple[Sequence[Any], dict[str, Any]]
"""The positional and the named arguments of a call, ready to be made."""

Link = int | tuple[int, ...] | Inputs | None
"""What fills a call. A number or a tuple: the nodes whose values are all its arguments. `None`: nothing does."""


def slots_of(link: Link) -> tuple[Slot, ...]:
    """Return the slots of a call that are filled."""
    if isinstance(link, Inputs):
        return tuple(link.all_slots())
    return whole_slots(len(sources_of(link)))


def whole_slots(arity: int) -> tuple[Slot, ...]:
    """Return the slots of a call with so many positional arguments, each of which is filled as a whole."""
    return tuple(map(slot_of, range(arity)))


def sources_of(link: Link) -> tuple[int, ...]:
    """Return the nodes whose values fill a call, in the order of its slots."""
    if link is None:
        return ()
    if isinstance(link, Inputs):
        return link.sources
    return (link,) if isinstance(link, int) else link


class Injection(NamedTuple):
    """An argument that is a resource; so many slots of the call come before its own, other resources not counted."""

    argument: int | str
    resource: str
    behind: int


class Form(NamedTuple):
    """What calls of one kind have in common.

    Attributes:
        serial: The number of the task in this process.
        arity: How many positional arguments there are.
        names: The named arguments, sorted.
        slots: The places that are filled with values of other calls.
        containers: The types of the containers around each slot that is inside one.
        policies: The policies by value, without what is data; `None` if there are none.
        injected: The arguments that are resources.
        defaults: The parameters that are not given and are filled with a resource: name and resource.
        holds_amounts: Whether the calls hold amounts of the engine's capacity; how much is data.
        has_row: Whether a call without slots has a `Call` of its own, as records of such calls always had.
    """

    serial: int
    arity: int
    names: tuple[str, ...]
    slots: tuple[Slot | Listed, ...] = ()
    containers: tuple[tuple[type, ...], ...] = ()
    policies: Hashable = None
    injected: tuple[Injection, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()
    holds_amounts: bool = False
    has_row: bool = False

    @property
    def resources(self) -> tuple[str, ...]:
        """The names of the resources that each of the calls takes."""
        return (*(each.resource for each in self.injected), *(resource for _, resource in self.defaults))

    def call(self, link: Link) -> Call:
        """Return what a call waits for that is filled by `link`."""
        if link is None and not self.has_row:
            return NO_CALL
        slots, sources = [*slots_of(link)], list[Source](sources_of(link))
        for before, each in enumerate(self.injected):
            slots.insert(each.behind + before, slot_of(each.argument))
            sources.insert(each.behind + before, Injected(each.resource))
        return Call(slots=tuple(slots), sources=tuple(sources), defaults=self.defaults)


class PlainStructure(Structure):
    """The structure of a plain tree.

    Attributes:
        links: What fills each node, by position.
        kinds: The form of each node, by position, as an index into `forms`.
        forms: The kinds of calls that the tree has.
        samples: For each form, the position of one node of it.
        repeated: The nodes that were met again, once for each time.
    """

    def __init__(
        self,
        links: tuple[Link, ...],
        kinds: tuple[int, ...],
        forms: tuple[Form, ...],
        samples: tuple[int, ...],
        repeated: tuple[int, ...],
    ) -> None:
        self.links = links
        self.kinds = kinds
        self.forms = forms
        self.samples = samples
        self.repeated = repeated
        self.sequenced = {}
        self.target = 0

    def __len__(self) -> int:
        return len(self.links)

    @cached_property
    def calls(self) -> list[Call]:  # type: ignore[override]  # a column like the others, but made late
        """What each node waits for."""
        forms = self.forms
        return [forms[kind].call(link) for kind, link in zip(self.kinds, self.links, strict=True)]

    @cached_property
    def paths(self) -> list[StructurePath]:  # type: ignore[override]
        """The place of each node in the tree."""
        paths, links, first = [ROOT], self.links, segment_of(slot_of(0))
        for position in self.expansion():
            link = links[position]
            if link is None:
                continue
            if type(link) is int:  # what most nodes of a chain are
                if link == len(paths):
                    paths.append(paths[position].below(first))
                continue
            for slot, source in zip(slots_of(link), sources_of(link), strict=True):
                if source == len(paths):
                    paths.append(paths[position].below(segment_of(slot)))
        return paths

    def expansion(self) -> Iterator[int]:
        """Give the positions of the nodes in the order in which the reader looked at them.

        The inputs of a node that were new then have the next free positions.
        """
        pending = [0]
        met = 1
        while pending:
            position = pending.pop()
            yield position
            if self.links[position] is None:
                continue
            known = met
            for source in sources_of(self.links[position]):
                met += source == met
            pending.extend(range(met - 1, known - 1, -1))

    def call(self, position: int) -> Call:
        """Return what a node waits for, without making the others' calls."""
        return self.forms[self.kinds[position]].call(self.links[position])

    def predecessors(self, position: int) -> tuple[int, ...]:
        """Return no nodes: a plain call waits for its arguments only."""
        return ()

    def dependencies(self) -> list[tuple[int, ...]]:
        """Return, for each node, all nodes that it waits for, each once."""
        # Once per node of every graph that is new: watched by observatory/benchmarks/bench_graphs.py.
        return [
            () if link is None else (link,) if type(link) is int else _each_once(sources_of(link))
            for link in self.links
        ]


def _each_once(sources: tuple[int, ...]) -> tuple[int, ...]:
    return sources if len(set(sources)) == len(sources) else tuple(dict.fromkeys(sources))
