"""A lazy tree as columns: one row per node, everything by position.

Each lazy result is one node, however many places it stands in.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

from cascade.graph.path import StructurePath
from cascade.spec.calls.arguments import Slot
from cascade.spec.lazy_types import Lazy


class Choice(NamedTuple):
    """The source of a router's value: the node of its selector, its keys and the node of each route."""

    selector: int
    keys: tuple[Hashable, ...]
    routes: tuple[int, ...]


class Injected(NamedTuple):
    """The source of an injected value: the resource's name."""

    resource: str


class Quotation(Enum):
    """The source of a quoted value: the argument itself holds it."""

    QUOTED = "quoted"


QUOTED = Quotation.QUOTED
Source = int | Choice | Injected | Quotation


class Call(NamedTuple):
    """What a node waits for, and what fills its arguments.

    `slots[k]` is filled from `sources[k]`: the value of a node, the chosen route of a router, a resource, or what is
    quoted there.
    `defaults` are the parameters that are not given and filled with a resource. `amounts` are the lazy ones.
    """

    after: tuple[int, ...] = ()
    conditions: tuple[int, ...] = ()
    amounts: tuple[tuple[str, int], ...] = ()
    slots: tuple[Slot, ...] = ()
    sources: tuple[Source, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()

    def inputs(self) -> list[int]:
        """Return the nodes that are demanded as inputs at once: amounts, arguments and selectors."""
        found = [source for _, source in self.amounts]
        for source in self.sources:
            if isinstance(source, int):
                found.append(source)
            elif isinstance(source, Choice):
                found.append(source.selector)
        return found

    def choices(self) -> list[Choice]:
        """Return the routers among the sources."""
        return [source for source in self.sources if isinstance(source, Choice)]

    def resources(self) -> list[str]:
        """Return the names of the resources that the call takes."""
        named = [source.resource for source in self.sources if isinstance(source, Injected)]
        return [*named, *(resource for _, resource in self.defaults)]


NO_CALL = Call()
"""The call of all nodes that wait for nothing and have nothing to fill."""


class Structure:
    """All of a tree but its lazy results, by position: what each node waits for, and where it stands.

    `sequenced` gives the nodes that a sequence puts before a node. Holds no value and no function of the user's.
    """

    def __init__(
        self, calls: list[Call], paths: list[StructurePath], sequenced: dict[int, list[int]], target: int
    ) -> None:
        self.calls = calls
        self.paths = paths
        self.sequenced = sequenced
        self.target = target

    def __len__(self) -> int:
        return len(self.calls)

    def predecessors(self, position: int) -> tuple[int, ...]:
        """Return the nodes that `after` and sequences put before a node, each once."""
        if not self.sequenced and not self.calls[position].after:
            return ()
        return tuple(dict.fromkeys((*self.calls[position].after, *self.sequenced.get(position, ()))))

    def dependencies(self) -> list[tuple[int, ...]]:
        """Return, for each node, all nodes that it may wait for, each once and in the order of its demands."""
        found: list[tuple[int, ...]] = []
        for position, call in enumerate(self.calls):
            if call is NO_CALL and not self.sequenced:
                found.append(())
                continue
            routes = [route for choice in call.choices() for route in choice.routes]
            all_of_them = (*self.predecessors(position), *call.conditions, *call.inputs(), *routes)
            found.append(tuple(dict.fromkeys(all_of_them)))
        return found


@dataclass(frozen=True, slots=True)
class Tree:
    """The nodes of one lazy tree: their lazy results and their structure."""

    lazies: list[Lazy]
    structure: Structure


def container_kinds(lazy: Lazy, slot: Slot, entries: dict[int, list[Any]]) -> tuple[type, ...]:
    """Return the types of the containers on the way to a slot, from the outside.

    `entries` is for the values of each dict that is met, by the dict's id, so that they are listed once for all slots.
    """
    at: Any = lazy.args[slot.argument] if isinstance(slot.argument, int) else lazy.kwargs[slot.argument]
    kinds = []
    for step in slot.steps:
        kinds.append(type(at))
        if type(at) is dict:
            if id(at) not in entries:
                entries[id(at)] = list(at.values())
            at = entries[id(at)]
        at = at[step]
    return tuple(kinds)
