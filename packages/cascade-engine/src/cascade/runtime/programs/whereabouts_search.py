"""Whereabouts, found: which values of a structure have to be here, and which may stay where they were made.

Asked only where an executor may give handles. A value has to be here if the engine looks at it: as a condition, a
selector, an amount, an input of a map, a part of a cache key, or an argument of a call that is made here. This is the
one place that knows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from cascade.graph.tree import Choice
from cascade.runtime.programs.program import Program
from cascade.runtime.programs.whereabouts import Whereabouts
from cascade.runtime.sharing.placement import Placement, is_just_called
from cascade.spec.calls.arguments import Slot
from cascade.spec.internal_tasks import CHOOSE, COLLECT, UNPACK
from cascade.spec.lazy_types import ITEM, LazyResult, MappedLazyResult

_HAND_ON = frozenset({CHOOSE, COLLECT})
"""Internal tasks whose value is what they take, whole."""

_TAKE_PARTS = frozenset({ITEM, UNPACK})
"""Internal tasks whose value is a part of what they take."""


def whereabouts_of(
    program: Program,
    lazies: list[LazyResult[Any]],
    placement: Placement,
    is_target_looked_at: bool,
    in_store: bool = False,
) -> Whereabouts:
    """Return where the values of a structure have to be; `lazies` are those of one tree that has it.

    Values stay with an executor, or `in_store`: then workers read them from the value store of the run.
    """
    search = _Search(program, lazies, placement, in_store)
    return search.whereabouts((program.target,) if is_target_looked_at else ())


class _Search:
    """Goes through the nodes in the plan's order, so that each comes after what it takes."""

    def __init__(
        self, program: Program, lazies: list[LazyResult[Any]], placement: Placement, in_store: bool
    ) -> None:
        self._in_store = in_store
        self._program = program
        self._lazies = lazies
        self._placement = placement
        self._looked_at: set[int] = set()
        self._used_there: set[int] = set()
        self._handed_on: set[int] = set()
        self._sent: set[int] = set()
        self._remote: set[int] = set()  # those that may give a handle
        self._holding: set[int] = set()  # those that may give a container, made here, with handles inside

    def whereabouts(self, looked_at: Iterable[int]) -> Whereabouts:
        """Return them; `looked_at` are nodes that something outside of the tree looks at."""
        self._looked_at.update(looked_at)
        for node in self._program.order:
            self._visit(node)
        self._look_at_what_is_handed_on()
        return Whereabouts(
            frozenset(self._looked_at),
            frozenset(self._used_there),
            frozenset(self._handed_on),
            frozenset(self._sent),
            self._followers(),
        )

    def _visit(self, node: int) -> None:
        lazy, call = self._lazies[node], self._program.call(node)
        self._looked_at.update(call.conditions)
        self._looked_at.update(position for _, position in call.amounts)
        self._looked_at.update(choice.selector for choice in call.choices())
        if self._placement.remote_of(lazy) is not None or self._is_made_there(lazy):
            self._sent.add(node)
        is_map = isinstance(lazy, MappedLazyResult)
        if not is_map and lazy.task in _HAND_ON:
            self._hand_on(node)
        elif not is_map and lazy.task in _TAKE_PARTS:
            self._take_parts(node)
        elif self._is_made_there(lazy):
            self._call_there(node)
        else:
            self._looked_at.update(chain.from_iterable(sources for _, sources in self._inputs(node)))

    def _is_made_there(self, lazy: LazyResult[Any]) -> bool:
        if self._in_store:
            return self._placement.reads_value_stores(lazy)
        return self._placement.remote_of(lazy) is not None

    def _inputs(self, node: int) -> Iterator[tuple[Slot, Iterable[int]]]:
        """Give each place in a call, and the nodes that may fill it."""
        call = self._program.call(node)
        for slot, source in zip(call.slots, call.sources, strict=True):
            if isinstance(source, Choice):
                yield slot, source.routes
            elif isinstance(source, int):
                yield slot, (source,)

    def _hand_on(self, node: int) -> None:
        """An internal task that hands handles on. What else a call may turn out to give is looked at before."""
        known = self._remote | self._holding
        for _, sources in self._inputs(node):
            self._looked_at.update({*sources} - known)
            if not known.isdisjoint(sources):
                self._handed_on.add(node)
                (self._holding if self._lazies[node].task is COLLECT else self._remote).add(node)

    def _take_parts(self, node: int) -> None:
        """An internal task that is called where what it takes is."""
        for slot, sources in self._inputs(node):
            if slot.argument != 0 or slot.steps:
                self._looked_at.update(sources)
                continue
            self._looked_at.update({*sources} - self._remote - self._holding)
            if not (self._remote | self._holding).isdisjoint(sources):
                self._used_there.update(sources)
                self._handed_on.add(node)
                self._remote.add(node)
                self._holding.add(node)  # a part of a container may be either

    def _call_there(self, node: int) -> None:
        """A call on another worker: it takes handles, but where a map or a cache looks at them first."""
        lazy = self._lazies[node]
        mapped = lazy.mapped if isinstance(lazy, MappedLazyResult) else ()
        for slot, sources in self._inputs(node):
            if lazy.policies.cache is not None:
                self._looked_at.update(sources)
            elif slot.argument in mapped and not slot.steps:
                # It is looked at as a list. One that is here already may have handles as items.
                self._looked_at.update(source for source in sources if not self._is_list_here(source))
            elif not mapped:  # a map takes what is here: it looks at its inputs
                self._used_there.update(sources)
        (self._holding if mapped else self._remote).add(node)

    def _is_list_here(self, node: int) -> bool:
        lazy = self._lazies[node]
        return node in self._holding and (isinstance(lazy, MappedLazyResult) or lazy.task is COLLECT)

    def _look_at_what_is_handed_on(self) -> None:
        """What a node that is looked at has been handed is looked at too: so it comes here at once."""
        for node in reversed(self._program.order):
            is_both = node in self._handed_on and node in self._looked_at
            if is_both and self._lazies[node].task in _HAND_ON:
                self._looked_at.update(chain.from_iterable(sources for _, sources in self._inputs(node)))

    def _followers(self) -> dict[int, int]:
        """Return, for each call that may begin or go on a chain, the next one."""
        program, followers = self._program, {}
        takers: dict[int, set[int]] = {}
        for node in program.order:
            for source in _all_sources(program, node):
                takers.setdefault(source, set()).add(node)
        for node in program.order:
            sources = {*_all_sources(program, node)}
            if len(sources) != 1 or node in self._looked_at:
                continue
            (source,) = sources
            if len(takers[source]) > 1:
                continue
            if self._is_chained(node) and self._is_chained(source) and self._are_together(source, node):
                followers[source] = node
        return followers

    def _is_chained(self, node: int) -> bool:
        """Tell whether a call needs nothing but its arguments, and a worker that takes chains."""
        lazy, call = self._lazies[node], self._program.call(node)
        is_plain = not (call.conditions or call.choices() or self._program.resources[node])
        is_call = not isinstance(lazy, MappedLazyResult) and is_just_called(lazy.policies)
        return is_plain and is_call and self._placement.takes_chains(lazy)

    def _are_together(self, one: int, other: int) -> bool:
        placement, lazies = self._placement, self._lazies
        return placement.executor_of(lazies[one]) is placement.executor_of(lazies[other])


def _all_sources(program: Program, node: int) -> Iterator[int]:
    """Give the nodes that one waits for, in whatever way."""
    call = program.call(node)
    yield from program.prerequisites[node]
    yield from call.conditions
    for choice in call.choices():
        yield choice.selector
        yield from choice.routes
