"""Plain structures: calls and nothing else; no policies, routers, inputs, resources or orders.

Most trees are of this kind. Only what tells them apart is kept, the rest is made of that when asked for: a large tree
that runs once needs little of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from typing import Any, NamedTuple

from cascade.graph.path import ROOT, StructurePath, segment_of
from cascade.graph.tree import NO_CALL, Call, Structure
from cascade.spec.calls.arguments import Slot, fill, slot_of
from cascade.spec.lazy_types import Lazy


class Listed(NamedTuple):
    """The slots of an argument that is a list of so many lazy results and holds nothing else."""

    argument: int | str
    length: int


class Inputs(NamedTuple):
    """What fills a call whose arguments are not just the values of other calls.

    `slots` are filled from `sources`, in this order. `nested` says that some are neither a whole argument nor all of
    a list.
    """

    slots: tuple[Slot | Listed, ...]
    sources: tuple[int, ...]
    nested: bool

    def all_slots(self) -> Iterator[Slot]:
        """Give one slot for each source."""
        for slot in self.slots:
            if isinstance(slot, Listed):
                yield from (Slot(slot.argument, (step,)) for step in range(slot.length))
            else:
                yield slot

    def fill(self, lazy: Lazy, values: list[Any]) -> tuple[Sequence[Any], dict[str, Any]]:
        """Return the arguments of a call; `values` are those of the nodes, by position."""
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


Link = int | tuple[int, ...] | Inputs | None
"""What fills a call: the node or nodes whose values are all its arguments, `Inputs`, or nothing."""


def slots_of(link: Link) -> tuple[Slot, ...]:
    """Return what is filled in a call."""
    if isinstance(link, Inputs):
        return tuple(link.all_slots())
    return whole_slots(len(sources_of(link)))


def whole_slots(arity: int) -> tuple[Slot, ...]:
    """Return the slots of a call all of whose arguments are filled."""
    return tuple(map(slot_of, range(arity)))


def sources_of(link: Link) -> tuple[int, ...]:
    """Return the nodes that a call is filled from."""
    if link is None:
        return ()
    if isinstance(link, int):
        return (link,)
    return link.sources if isinstance(link, Inputs) else link


class Form(NamedTuple):
    """What calls of one kind have in common. `containers` are the types on the way to each nested slot."""

    serial: int
    arity: int
    names: tuple[str, ...]
    slots: tuple[Slot | Listed, ...] = ()
    containers: tuple[tuple[type, ...], ...] = ()


class PlainStructure(Structure):
    """The structure of a plain tree.

    `links` are by position, and so are `kinds`, the form of each node as an index into `forms`. `samples` gives one
    node of each form.
    """

    def __init__(
        self,
        links: tuple[Link, ...],
        kinds: tuple[int, ...],
        forms: tuple[Form, ...],
        samples: tuple[int, ...],
    ) -> None:
        self.links = links
        self.kinds = kinds
        self.forms = forms
        self.samples = samples
        self.sequenced = {}
        self.target = 0

    def __len__(self) -> int:
        return len(self.links)

    @cached_property
    def calls(self) -> list[Call]:  # type: ignore[override]  # a column like the others, but made late
        """What each node waits for."""
        return [
            NO_CALL if link is None else Call(slots=slots_of(link), sources=sources_of(link))
            for link in self.links
        ]

    @cached_property
    def paths(self) -> list[StructurePath]:  # type: ignore[override]
        """The place of each node."""
        paths = [ROOT]
        for position in self.expansion():
            link = self.links[position]
            for slot, source in zip(slots_of(link), sources_of(link), strict=True):
                if source == len(paths):
                    paths.append(paths[position].below(segment_of(slot)))
        return paths

    def expansion(self) -> Iterator[int]:
        """Give the nodes in the order in which they are looked at; each one's new inputs come next in position."""
        pending = [0]
        met = 1
        while pending:
            position = pending.pop()
            yield position
            known = met
            for source in sources_of(self.links[position]):
                met += source == met
            pending.extend(range(met - 1, known - 1, -1))

    def predecessors(self, position: int) -> tuple[int, ...]:
        """Return nothing: a plain call waits for its arguments alone."""
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
