"""Tables: a structure whose calls are all inline and plain, called in the plan's order.

Slower than code written for the structure, but there at once and of any size.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from cascade.graph.plain import PlainStructure
from cascade.runtime.plain import LAZY_TYPES, Lazies, Stopped
from cascade.runtime.program import Program
from cascade.runtime.stretches import arguments, stretches

if TYPE_CHECKING:
    from cascade.runtime.run import Run


class Table:
    """The calls of one structure. Holds no task and no literal."""

    SMALL = 64
    """A table of so many calls looks at the clock after each one, so that a call that takes long is known by name."""
    CALLS_A_LOOK = 32
    """A larger one does so after this many calls."""

    __slots__ = ("_calls_a_look", "_links", "_program", "_stretches")

    def __init__(self, program: Program, structure: PlainStructure) -> None:
        self._program = program
        self._links = structure.links
        self._stretches = tuple(stretches(structure, program.order))
        self._calls_a_look = 1 if len(program) <= self.SMALL else self.CALLS_A_LOOK

    def call(self, lazies: Lazies, run: Run, values: list[Any], begin: int) -> Any:
        """Make the calls in the plan's order, from place `begin` on, and return the target's value.

        `values` are those known, `MISSING` for the others; they are filled. Returns a `Stopped` at a call that raises
        or gives a lazy result, and when the run's turn is over.
        """
        order, target, links = self._program.order, self._program.target, self._links
        clock, ends, calls_a_look = time.monotonic, run.turn_ends, self._calls_a_look
        place = begin
        for call, end in self._stretches:
            while place < end:
                nodes = order[place : min(place + calls_a_look, end)]
                stopped = call(nodes, links, lazies, values)
                if stopped is not None and stopped.error is not None:
                    return stopped
                now = clock()
                if now > ends and calls_a_look == 1:
                    run.note_overrun(lazies[nodes[0]].task, now)
                if stopped is not None:
                    return stopped.value if stopped.node == target else stopped
                place += len(nodes)
                if now > ends and place < len(order):
                    return Stopped(None, values, None, begin=place)
        return values[target]

    def call_heard(self, lazies: Lazies, run: Run, values: list[Any], begin: int, serial: int) -> Any:
        """Make the calls as `call` does, and tell of each; `serial` is the tree's number in its run."""
        # Once per node of every plain graph with a listener: watched by observatory/benchmarks/bench_events.py.
        reports, clock, ends, target = run.reports, time.monotonic, run.turn_ends, self._program.target
        suffix = f"@{serial}" if serial else ""
        for node in islice(self._program.order, begin, None):
            lazy = lazies[node]
            task_id, name = f"n{node}{suffix}", lazy.task.name
            began = clock()
            reports.plain_started(task_id, name)
            try:
                args, kwargs = arguments(self._links[node], lazy, values)
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


def make_table(program: Program) -> Table | None:
    """Return the table of a structure; `None` if it has calls that are not plain."""
    structure = program.structure
    return Table(program, structure) if isinstance(structure, PlainStructure) else None
