"""Tables: a structure whose calls are all inline and plain, called in the plan's order.

Slower than code written for the structure, but there at once and of any size.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from cascade.graph.plain_structure import Link, PlainStructure, sources_of
from cascade.graph.small_steps import Steps, done
from cascade.runtime.fast.gates import Gate, alike
from cascade.runtime.fast.links_by_place import groups_of, link_steps
from cascade.runtime.fast.stretches import (
    Means,
    Stretch,
    gathered,
    is_needy,
    one_by_one,
    part,
    stretches,
)
from cascade.runtime.fast.unneeded_values import Unneeded, unneeded_in_windows, unneeded_steps
from cascade.runtime.frames.reporting.watching import TreeWatch
from cascade.runtime.programs.plain_values import LAZY_TYPES, Awaited, Interruption, Lazies
from cascade.runtime.programs.program import Program
from cascade.runtime.sharing.capacity import CONCURRENCY, waits_for
from cascade.runtime.sharing.readiness import Ready, StretchNeeds
from cascade.runtime.sharing.time_slice import TimeSlice
from cascade.spec.calls.missing import MISSING

_END = attrgetter("end")


class Paused:
    """The type of `PAUSED`: the event loop is to have its turn before the next call."""


PAUSED = Paused()


class Waiting(NamedTuple):
    """All calls that are left wait for these resources to be opened; if there are none, for a slot."""

    resources: tuple[str, ...]

    @property
    def reason(self) -> str:
        """What they wait for, in words."""
        if self.resources:
            return f"waits for {', '.join(self.resources)} to open"
        return waits_for({CONCURRENCY: 1})


class _Layout(NamedTuple):
    """The calls of a table as they are made: what fills each, their stretches, and what is forgotten after each."""

    links: Sequence[Link]
    stretches: Sequence[Stretch]
    unneeded: Unneeded


_STRETCHES_A_STEP = 32

_NONE_OPEN: dict[str, Any] = {}


class Table:
    """The calls of one structure. Holds no task and no literal.

    One that is made to `gather` arguments takes longer to make and less to call: for a structure that comes again.
    """

    SMALL = 64
    """A table of so many calls looks at the clock after each one, so that a call that takes long is known by name."""
    CALLS_A_LOOK = 32
    """A larger one does so after this many calls."""
    SHORT_CALLS_A_LOOK = 128
    """And after this many where those before took so little that these won't take a turn."""
    SHORT_SECONDS = 0.001
    """What calls between two looks may take for more of them to be made before the next."""

    __slots__ = ("_gather", "_layout", "_looks_each_time", "_program", "_structure", "is_needy", "resources")

    def __init__(self, program: Program, structure: PlainStructure, gather: bool = False) -> None:
        self._program = program
        self._structure = structure
        self._gather = gather
        self.is_needy = any(map(is_needy, structure.forms))
        self.resources = tuple(dict.fromkeys(name for form in structure.forms for name in form.resources))
        # A plan whose order holds few values gains nothing if they are forgotten late.
        self._looks_each_time = len(program) <= self.SMALL or program.window == 1
        self._layout: _Layout | None = None  # made before the first call

    @property
    def is_laid_out(self) -> bool:
        """Whether `steps` has been done."""
        return self._layout is not None

    def steps(self) -> Steps[None]:
        """Lay out the calls, if that is not done yet: before `call`, with a step for each few hundred nodes."""
        if self._layout is not None:
            return
        structure, order, window = self._structure, self._program.order, self._program.window
        longest = 1 if self._looks_each_time else window or self.SHORT_CALLS_A_LOOK
        groups = [*groups_of(structure, order)]
        yield
        links = yield from link_steps(structure, groups, order)
        made: list[Stretch] = []
        for index, each in enumerate(stretches(structure, groups, links, order, longest)):
            made += gathered(each, order, links) if self._gather else (each,)
            if not index % _STRETCHES_A_STEP:
                yield
        together = 1 if self._looks_each_time else self.CALLS_A_LOOK
        forget = unneeded_in_windows if window > 1 else unneeded_steps
        unneeded = yield from forget(links, made, together)
        self._layout = _Layout(links, made, unneeded)

    def call(  # noqa: C901 - a function per stretch would cost as much as its calls
        self,
        lazies: Lazies,
        time_slice: TimeSlice,
        values: list[Any],
        watch: TreeWatch | None = None,
        gate: Gate | None = None,
    ) -> Any:
        """Make the calls in the plan's order and return the target's value, which is the last.

        `values` are those of the first calls, which are not made again; those of the others are appended. Returns a
        `Interruption` at a call that raises or gives a lazy result, and `PAUSED` when the time slice is over. Whoever
        hands in a `watch` reports the calls afterwards.

        A `gate` is there if calls need more than their arguments. Where it is shut, a `Waiting` is returned if all
        calls that are left have to wait, and an `Interruption` without a node otherwise.
        """
        if self._layout is None:
            done(self.steps())
        assert self._layout is not None
        links, made, unneeded = self._layout
        ends_of_calls = None if watch is None else watch.ends
        means = Means(ends_of_calls, _NONE_OPEN if gate is None else gate.resources)
        unnoted = means._replace(ends=None)
        clock, ends, short, size = time.monotonic, time_slice.ends, self.SHORT_SECONDS, len(self._program)
        place, now, long = len(values), clock(), True
        index = bisect_right(made, place, key=_END)
        while place < size:
            stretch = whole = made[index]
            if (long and whole.end - place > self.CALLS_A_LOOK) or place > whole.begin:
                end = min(whole.end, place + self.CALLS_A_LOOK)
                stretch = part(whole, self._program.order, links, place, end)
            if gate is not None:
                came = self._let_through(stretch, lazies, links, gate)
                if not isinstance(came, Stretch):
                    return self.stopped(values) if came is None else came
                stretch = came
            is_single = stretch.end - place == 1  # then the look at the clock behind it tells when it ended
            try:
                has_lazy = stretch.make_calls(stretch, lazies, values, unnoted if is_single else means)
            except BaseException as error:  # noqa: BLE001 - the user's own code; the run decides what it means
                del values[stretch.end - 1 :]  # after an interrupt that came behind the last call
                return self.stopped(values, error, stretch.begin)
            before, now = now, clock()
            if is_single and ends_of_calls is not None:
                ends_of_calls.append(now)
            if now > ends and self._looks_each_time:
                time_slice.note_overrun(lazies[stretch.first].task, now)
            place = stretch.end
            if watch is not None and watch.shows:
                watch.report(values)
            if place == whole.end and not has_lazy:
                for places, nothing in unneeded[index]:
                    values[places] = nothing
            if has_lazy and (place < size or len(values) < size or type(values[-1]) is Awaited):
                return self.stopped(values, None, stretch.begin)
            if now > ends and place < size:
                return PAUSED
            long = now - before > short
            index += place == whole.end
        return values[-1]

    def _let_through(
        self, stretch: Stretch, lazies: Lazies, links: Sequence[Link], gate: Gate
    ) -> Stretch | Waiting | None:
        """Return the first calls of a stretch, those that may be made now; what they wait for if there are none.

        `None` means that others might be made meanwhile.
        """
        form = stretch.needy
        if form is not None and form.holds_amounts:
            count = alike(stretch, lazies)
            if count < stretch.end - stretch.begin:
                end = stretch.begin + count
                stretch = part(stretch, self._program.order, links, stretch.begin, end)
        needs = gate.needs_of(lazies[stretch.first], form)
        ready = gate.ask(needs)
        if ready is Ready.NOW:
            return one_by_one(stretch) if needs.amounts else stretch
        if ready is None or (ready is Ready.RESOURCES and not self._all_wait(stretch.begin, links, needs)):
            return None
        return Waiting(needs.resources if ready is Ready.RESOURCES else ())

    def _all_wait(self, begin: int, links: Sequence[Link], needs: StretchNeeds) -> bool:
        """Tell whether all calls from a place on take one of these resources, or a value of a call that does."""
        structure, order = self._structure, self._program.order
        takers = [not set(needs.resources).isdisjoint(form.resources) for form in structure.forms]
        waits = bytearray(len(order))
        for place in range(begin, len(order)):
            takes = takers[structure.kinds[order[place]]]
            if not takes and not any(waits[source] for source in sources_of(links[place])):
                return False
            waits[place] = True
        return True

    def stopped(self, values: list[Any], error: BaseException | None = None, begin: int = 0) -> Interruption:
        """Return where the calls stopped: at all lazy results from a place on, and at the next call if that raised.

        A lazy result keeps no call from being made that does not need its value, so there may be several.
        """
        order = self._program.order
        known: list[Any] = [MISSING] * len(order)
        trees = []
        for place, value in enumerate(values):
            if place >= begin and type(value) in LAZY_TYPES:
                trees.append((order[place], value))
            else:
                known[order[place]] = value
        if error is not None:
            return Interruption(order[len(values)], known, error, trees=trees)
        node, value = trees.pop() if trees else (None, None)
        return Interruption(node, known, None, value, trees=trees)
