"""A lazy tree as columns: lists with one entry per node, so that all about a node is found by its position.

Each lazy result is one node, in however many places of the tree it stands. What two trees of one structure share
(`Structure`) is kept apart from the lazy results themselves (`Tree`).
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Any, NamedTuple, TypeAlias

from cascade.graph.path import StructurePath
from cascade.spec.calls.arguments import Slot
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import Lazy


class Choice(NamedTuple):
    """The source of a value that a router chooses: the node of its selector, its keys, and the node of each route."""

    selector: int
    keys: tuple[Hashable, ...]
    routes: tuple[int, ...]


class Injected(NamedTuple):
    """The source of a value that is a resource: the name of that."""

    resource: str


class Quotation(Enum):
    """The source of a quoted value: the argument holds it, and no node gives it."""

    QUOTED = "quoted"


QUOTED = Quotation.QUOTED
Source = int | Choice | Injected | Quotation
"""Where the value of a slot comes from; a number is the position of a node."""


class Call(NamedTuple):
    """What a node waits for, and what fills its arguments. Nodes are referred to by position.

    Attributes:
        after: The nodes that have to end first, by `after`.
        conditions: The nodes whose values have to be true, by `run_if`.
        amounts: The lazy amounts of its constraints: the name of each and its node.
        slots: The places in its arguments that are filled.
        sources: What fills each slot, in the order of `slots`.
        defaults: The parameters that were not given and are filled with a resource: name and resource.
    """

    after: tuple[int, ...] = ()
    conditions: tuple[int, ...] = ()
    amounts: tuple[tuple[str, int], ...] = ()
    slots: tuple[Slot, ...] = ()
    sources: tuple[Source, ...] = ()
    defaults: tuple[tuple[str, str], ...] = ()

    def inputs(self) -> list[int]:
        """Return the nodes whose values are wanted at once: amounts, arguments and selectors; routes come later."""
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
"""The call of all nodes that wait for nothing and have nothing to fill: one object, compared with `is`."""


class Structure:
    """What trees of one shape have in common, by position: what each node waits for, and where it stands.

    Holds no value and no function of the user's, so it may outlive the tree.

    Attributes:
        calls: What each node waits for.
        paths: The place of each node in the tree.
        sequenced: For nodes that a sequence puts behind others, the nodes before them.
        target: The position of the node whose value is the result.
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

    def call(self, position: int) -> Call:
        """Return what a node waits for."""
        return self.calls[position]

    def predecessors(self, position: int) -> tuple[int, ...]:
        """Return the nodes that only have to end before a node, by `after` and sequences, each once."""
        if not self.sequenced and not self.calls[position].after:
            return ()
        return tuple(dict.fromkeys((*self.calls[position].after, *self.sequenced.get(position, ()))))

    def dependencies(self) -> list[tuple[int, ...]]:
        """Return, for each node, all nodes that it may wait for, each once, in the order in which it wants them.

        Takes O(nodes + edges).
        """
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
    """One lazy tree: the lazy result of each node, by position, and the structure."""

    lazies: list[Lazy]
    structure: Structure


Entries: TypeAlias = dict[int, list[object]]
"""The values of dicts as lists, by the id of each dict."""


def container_kinds(lazy: Lazy, slot: Slot, entries: Entries) -> tuple[type, ...]:
    """Return the types of the containers around a slot, the outermost one first.

    `entries` is a dict for the caller to keep between calls: it gets the values of each dict that is met, by the id of
    that, so that they are listed once for all slots in it.
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


def injected_defaults(lazy: Lazy) -> tuple[tuple[str, str], ...]:
    """Return the parameters that a call does not give and whose default is a resource, with the name of that."""
    # Positional arguments are given by no name, so only the signature knows which parameters they are.
    given = lazy.task.signature.bind_partial(*lazy.args, **lazy.kwargs).arguments
    injected = lazy.task.injected.items()
    return tuple(
        (name, resource) for name, resource in injected if name not in given and name not in lazy.kwargs
    )
