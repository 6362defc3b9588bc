"""Tables: a structure whose calls are all inline and without policies, as rows.

Matched and called in two loops. Slower than code written for the structure, but there at once and of any size.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from cascade.graph.tree import Call
from cascade.runtime.plain import LAZY_TYPES, Lazies, Stopped
from cascade.runtime.program import Program
from cascade.spec.arguments import LOOKED_INTO, Slot, fill, holds_marker
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies import NO_POLICIES

if TYPE_CHECKING:
    from cascade.runtime.run import Run

Place = int | str


class Table:
    """The rows of one structure. Holds no task and no literal."""

    SMALL = 64
    """A table of so many calls looks at the clock after each one, so that a call that takes long is known by name."""
    CALLS_A_LOOK = 32
    """A larger one does so after this many calls."""

    __slots__ = ("_calls", "_match_rows", "_program", "_size")

    def __init__(self, program: Program, lazies: Lazies) -> None:
        self._program = program
        self._size = len(program)
        self._calls = [(node, _filling(lazies[node], program.calls[node])) for node in program.order]
        self._match_rows: list[Any] | None = None

    def call(self, lazies: Lazies, run: Run, values: list[Any], begin: int) -> Any:
        """Make the calls in the plan's order, from place `begin` on, and return the target's value.

        `values` are those known, `MISSING` for the others; they are filled. Returns a `Stopped` at a call that raises
        or gives a lazy result, and when the run's turn is over.
        """
        # Once per node of every plain graph: watched by observatory/benchmarks/bench_graphs.py.
        node = -1
        interval = look = 1 if self._size <= self.SMALL else self.CALLS_A_LOOK
        ends = run.turn_ends
        value: Any = None
        try:
            for node, filling in islice(self._calls, begin, None):
                lazy = lazies[node]
                if filling is None:
                    value = lazy.task.func(*lazy.args, **lazy.kwargs)
                elif type(filling) is int:
                    value = lazy.task.func(values[filling])
                elif type(filling) is tuple:
                    value = lazy.task.func(*[values[source] for source in filling])
                else:
                    args, kwargs = filling.fill(lazy, values)
                    value = lazy.task.func(*args, **kwargs)
                look -= 1
                if not look:
                    look = interval
                    now = time.monotonic()
                    if now > ends:
                        if interval == 1:
                            run.note_overrun(lazy.task, now)
                        ends = 0.0
                if type(value) in LAZY_TYPES and node != self._program.target:
                    return Stopped(node, values, None, value)
                values[node] = value
                if not ends and node != self._program.target:
                    return Stopped(None, values, None, begin=self._program.rank[node] + 1)
        except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
            return Stopped(node, values, error)
        return value

    def call_heard(self, lazies: Lazies, run: Run, values: list[Any], begin: int, serial: int) -> Any:
        """Make the calls as `call` does, and tell of each; `serial` is the tree's number in its run."""
        # Once per node of every plain graph with a listener: watched by observatory/benchmarks/bench_events.py.
        reports, clock, ends, target = run.reports, time.monotonic, run.turn_ends, self._program.target
        suffix = f"@{serial}" if serial else ""
        for node, filling in islice(self._calls, begin, None):
            lazy = lazies[node]
            task_id, name = f"n{node}{suffix}", lazy.task.name
            began = clock()
            reports.plain_started(task_id, name)
            try:
                args, kwargs = _arguments(filling, lazy, values)
                value = lazy.task.func(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
                return Stopped(node, values, error, None, began)
            now = clock()
            if now > ends:
                run.note_overrun(lazy.task, now)
            if type(value) in LAZY_TYPES and node != target:
                return Stopped(node, values, None, value, began)
            values[node] = value
            reports.plain_finished(task_id, name, now - began, value)
            if now > ends and node != target:
                return Stopped(None, values, None, begin=self._program.rank[node] + 1)
        return values[target]

    def match(  # noqa: C901 - a function per node would cost as much as the match
        self, target: LazyResult[Any]
    ) -> Lazies | None:
        """Return the lazy results of a tree in the program's order; `None` if it has another structure."""
        if self._match_rows is None:
            return None
        found: Lazies = [target]
        append = found.append
        for node, serial, arity, names, literals, children in self._match_rows:
            lazy = found[node]
            if type(lazy) is not LazyResult or lazy.task.serial != serial:
                return None
            args, kwargs = lazy.args, lazy.kwargs
            if len(args) != arity or ((kwargs or names) and (*kwargs,) != names):
                return None
            for place in literals:
                value = args[place] if type(place) is int else kwargs[place]
                if type(value) in LOOKED_INTO and holds_marker(value):
                    return None
            for place, sources, fresh in children:
                value = args[place] if type(place) is int else kwargs[place]
                if fresh is None:
                    if type(value) is not list or len(value) != len(sources):
                        return None
                    if not _take_all(found, value, sources):
                        return None
                elif fresh:
                    append(value)
                elif value is not found[sources]:
                    return None
        # Sharing is part of the structure: what were two lazy results are two again.
        return found if len(set(found)) == self._size else None

    def learn(self, lazies: Lazies) -> None:
        """Make the rows for matching from one tree of the structure."""
        rows = list(_match_rows(self._program, lazies))
        self._match_rows = None if None in rows else rows


def make_table(program: Program, lazies: Lazies) -> Table | None:
    """Return the table of a structure; `None` if it has calls that are not plain."""
    for lazy, call in zip(lazies, program.calls, strict=True):
        if type(lazy) is not LazyResult or lazy.task.policies is not NO_POLICIES or call.defaults:
            return None
        for source in call.sources:
            if type(source) is not int:
                return None
    return None if program.sequenced else Table(program, lazies)


def _arguments(
    filling: Any, lazy: LazyResult[Any], values: list[Any]
) -> tuple[Iterable[Any], dict[str, Any]]:
    """Return the arguments of a call; written out in `Table.call`, where a function would cost as much as the call."""
    if filling is None:
        return lazy.args, lazy.kwargs
    if type(filling) is int:
        return (values[filling],), {}
    if type(filling) is tuple:
        return [values[source] for source in filling], {}
    filled: tuple[tuple[Any, ...], dict[str, Any]] = filling.fill(lazy, values)
    return filled


class _Filling:
    """Puts values into arguments in the general way."""

    __slots__ = ("_slots", "_sources")

    def __init__(self, slots: tuple[Slot, ...], sources: tuple[Any, ...]) -> None:
        self._slots = slots
        self._sources = sources

    def fill(self, lazy: LazyResult[Any], values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return fill(lazy.args, lazy.kwargs, self._slots, [values[source] for source in self._sources])


class _ListFilling:
    """Puts a list of values into the place of a list of lazy results."""

    __slots__ = ("_sources",)

    def __init__(self, sources: tuple[Any, ...]) -> None:
        self._sources = sources

    def fill(self, lazy: LazyResult[Any], values: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if type(lazy.args[0]) is list and len(lazy.args[0]) == len(self._sources):
            return ([values[source] for source in self._sources],), lazy.kwargs
        slots = [Slot(0, (step,)) for step in range(len(self._sources))]
        return fill(lazy.args, lazy.kwargs, slots, [values[source] for source in self._sources])


def _filling(lazy: LazyResult[Any], call: Call) -> Any:
    """Return how a call's arguments are filled, in the cheapest way there is.

    `None` if there is nothing to fill, a node or a tuple of nodes if the arguments are just their values.
    """
    slots, sources = call.slots, call.sources
    if not slots:
        return None
    if lazy.kwargs:
        return _Filling(slots, sources)
    if [(slot.argument, slot.steps) for slot in slots] == [(index, ()) for index in range(len(lazy.args))]:
        return sources[0] if len(sources) == 1 else sources
    if len(lazy.args) == 1 and all(slot.steps == (index,) for index, slot in enumerate(slots)):
        return _ListFilling(sources)
    return _Filling(slots, sources)


def _match_rows(program: Program, lazies: Lazies) -> Iterator[Any]:
    """Give the rows in the order in which the builder looks at the nodes, so that new ones come in their order."""
    met = 1
    pending = [0]
    while pending:
        node = pending.pop()
        lazy, call = lazies[node], program.calls[node]
        known = met
        children: list[tuple[Place, Any, bool | None]] = []
        by_place: dict[Place, list[tuple[tuple[int, ...], Any]]] = {}
        for slot, source in zip(call.slots, call.sources, strict=True):
            by_place.setdefault(slot.argument, []).append((slot.steps, source))
        for place, filled in by_place.items():
            if filled[0][0] == ():
                children.append((place, filled[0][1], filled[0][1] == met))
                met += filled[0][1] == met
                continue
            value = lazy.args[place] if isinstance(place, int) else lazy.kwargs[place]
            if type(value) is not list or [steps for steps, _ in filled] != [
                (step,) for step in range(len(value))
            ]:
                yield None  # lists of lazy results alone are matched here, all else by the structure's key
                return
            sources = []
            for _, source in filled:
                sources.append((source, source == met))
                met += source == met
            children.append((place, tuple(sources), None))
        literals = [place for place in (*range(len(lazy.args)), *lazy.kwargs) if place not in by_place]
        yield node, lazy.task.serial, len(lazy.args), tuple(lazy.kwargs), tuple(literals), tuple(children)
        pending.extend(range(met - 1, known - 1, -1))


def _take_all(found: Lazies, values: list[Any], sources: tuple[tuple[int, bool], ...]) -> bool:
    for value, (source, fresh) in zip(values, sources, strict=True):
        if fresh:
            found.append(value)
        elif value is not found[source]:
            return False
    return True
