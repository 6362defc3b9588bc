"""Strategies: how a target is driven.

Graph reuse: a structure is built and planned once, every tree of it only matched. The tail-call loop: where a target
returns the next target, that one is run in its place, and nothing of the last round is kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from itertools import repeat
from operator import length_hint
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cascade.graph.build import build_graph, read_tree
from cascade.graph.path import ROOT
from cascade.graph.plain import PlainStructure
from cascade.graph.structure import structure_key
from cascade.graph.tree import Tree
from cascade.runtime.compiling import (
    MISS,
    Left,
    Matcher,
    StoppedLine,
    StraightLine,
    compile_matcher,
    compile_straight_line,
)
from cascade.runtime.flights import Course, Flight
from cascade.runtime.keys import FrameKey, Turn
from cascade.runtime.match_writing import NotCompilableError
from cascade.runtime.matching import make_matcher
from cascade.runtime.plain import TURN_SECONDS, Lazies, Stopped
from cascade.runtime.program import Program, compile_program
from cascade.runtime.protocols import Solver
from cascade.runtime.tables import Table, make_table
from cascade.spec.compose import as_target
from cascade.spec.durable import Pending
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult
from cascade.spec.missing import MISSING

if TYPE_CHECKING:
    from cascade.runtime.caching import Lead
    from cascade.runtime.engine import Engine
    from cascade.runtime.frame import Frame
    from cascade.runtime.jobs import Job
    from cascade.runtime.run import Run


ROUNDS_A_LOOK = 16
"""After so many rounds the clock is looked at, where they are short."""

LOOK_SECONDS = 0.0005
"""Where the rounds between two looks take longer, the clock is looked at after each one."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program, the lazy results of one tree in its order, and the table if all its calls are plain.

    The course is there if coroutines are among the calls. `serial` is the tree's number in the run, if it has one
    already. `inline` says that nothing but plain inline calls is in it.
    """

    program: Program
    lazies: Lazies
    table: Table | None = None
    course: Course | None = None
    serial: int | None = None
    inline: bool = False


@dataclass(frozen=True, slots=True)
class ReuseStats:
    """How often a target's structure was built, was known or not, and was forgotten to make room."""

    builds: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0


class Known:
    """A structure seen before. It is interpreted at first; if it comes again, code is written for it."""

    __slots__ = (
        "_slow",
        "course",
        "inline",
        "key",
        "matcher",
        "program",
        "root",
        "seen",
        "straight",
        "table",
    )

    def __init__(
        self,
        key: Hashable,
        root: int,
        program: Program,
        inline: bool,
        table: Table | None,
        course: Course | None,
    ) -> None:
        self.key = key
        self.root = root
        self.program = program
        self.inline = (
            inline  # all calls: where a call runs is a matter of its task and mode, so of the structure
        )
        self.table = table
        self.course = course
        self.seen = 0
        self.matcher: Matcher | None = None
        self.straight: StraightLine | None = None
        self._slow = 0

    def prepared(self, lazies: Lazies) -> Prepared:
        """Return the program with the lazy results of a tree that has this structure."""
        plain = self.inline and self.table is not None and isinstance(self.program.structure, PlainStructure)
        return Prepared(self.program, lazies, self.table, self.course, inline=plain)

    def note_duration(self, seconds: float) -> bool:
        """Note how long the plain calls of one tree took; return whether that is short enough for more of them.

        Calls that take long gain nothing by being made plainly, and owe the event loop its turns: after three long
        trees in a row the structure is interpreted. One alone may be the machine's doing.
        """
        self._slow = self._slow + 1 if seconds > TURN_SECONDS else 0
        if self._slow == 3:
            self.straight = None
        return not self._slow


class GraphReuse:
    """The structures that an engine knows: a bounded table, the least recently used goes first.

    It holds serial numbers of tasks and no task, so that tasks made inside functions don't live on in it.
    """

    MAX_STRUCTURES = 256
    MAX_NODES = 200_000
    COMPILED_AT = 2
    """How often a structure must have come again before code is written for it."""
    COMPILED_NODES = 64
    """Larger structures have no code written for them: that would hold up the event loop for more than a turn."""
    TRIED = 8
    """How many known structures of one root task are tried before the key is computed."""

    def __init__(self, engine: Engine, solver: Solver) -> None:
        self._engine = engine
        self._solver = solver
        self._known: OrderedDict[Hashable, Known] = OrderedDict()
        self._by_root: dict[int, list[Known]] = {}
        self._nodes = 0
        self._builds = self._hits = self._misses = self._evictions = 0

    @property
    def stats(self) -> ReuseStats:
        """The counts so far."""
        return ReuseStats(self._builds, self._hits, self._misses, self._evictions)

    def prepare(self, target: LazyResult[Any]) -> Prepared:
        """Return the program of a target, built only if no structure like it is known.

        Raises:
            CascadeError: If the tree makes no sense; see `build_graph` and `Solver.resolve`.
        """
        candidates = self.candidates(target)
        for known in candidates:
            lazies = None if known.matcher is None else known.matcher(target)
            if lazies is not None:
                self._see_again(known, lazies)
                return known.prepared(lazies)
        tree = read_tree(target)
        key = structure_key(tree)
        found = self._known.get(key) if candidates else None
        if found is None:
            return self._build(target, tree, key)
        self._see_again(found, tree.lazies)
        return found.prepared(tree.lazies)

    def candidates(self, target: LazyResult[Any]) -> list[Known]:
        """Return the known structures that a target may have, the last used first."""
        return self._by_root.get(target.task.serial, [])[: self.TRIED]

    def note_hits(self, known: Known, hits: int) -> None:
        """Note that a structure was met again so many times."""
        self._hits += hits
        self._known.move_to_end(known.key)
        siblings = self._by_root[known.root]
        if siblings[0] is not known:
            siblings.remove(known)
            siblings.insert(0, known)

    def _build(self, target: LazyResult[Any], tree: Tree, key: Hashable) -> Prepared:
        graph = build_graph(tree)
        self._builds += 1
        self._misses += 1
        program = compile_program(graph, self._solver.resolve(graph))
        inline = all(self._engine.is_inline(lazy) for lazy in _samples(tree))
        on_the_loop = inline or all(self._engine.runs_on_loop(lazy) for lazy in _samples(tree))
        table = make_table(program) if on_the_loop else None
        structure = program.structure
        course = None
        if table is not None and not inline and isinstance(structure, PlainStructure):
            course = Course(program, structure, tree.lazies)
        known = Known(key, target.task.serial, program, inline, table, course)
        self._remember(known)
        return known.prepared(tree.lazies)

    def _remember(self, known: Known) -> None:
        if known.key in self._known or len(known.program) > self.MAX_NODES:
            return
        self._known[known.key] = known
        self._by_root.setdefault(known.root, []).insert(0, known)
        self._nodes += len(known.program)
        while len(self._known) > self.MAX_STRUCTURES or self._nodes > self.MAX_NODES:
            self._forget(self._known.popitem(last=False)[1])

    def _forget(self, known: Known) -> None:
        self._evictions += 1
        self._nodes -= len(known.program)
        siblings = self._by_root[known.root]
        siblings.remove(known)
        if not siblings:
            del self._by_root[known.root]

    def _see_again(self, known: Known, lazies: Lazies) -> None:
        known.seen += 1
        self.note_hits(known, 1)
        structure = known.program.structure
        if known.seen == 1 and isinstance(structure, PlainStructure):
            known.matcher = make_matcher(structure)
        if known.seen != self.COMPILED_AT or len(known.program) > self.COMPILED_NODES:
            return
        try:
            known.matcher = compile_matcher(known.program, lazies)
            if known.inline:
                known.straight = compile_straight_line(known.program, lazies)
        except NotCompilableError:
            pass


def _samples(tree: Tree) -> Lazies:
    """Return lazy results that have among them each way in which a call of the tree can be made."""
    structure = tree.structure
    if isinstance(structure, PlainStructure):
        return [tree.lazies[position] for position in structure.samples]
    return tree.lazies


class Paused(NamedTuple):
    """The calls of a table, when the event loop has its turn."""

    table: Table
    line: StoppedLine


class TailCallLoop:
    """The rounds that stand in the place of one call, or of the run itself (`job` is `None`).

    One frame at a time: it is closed and forgotten before the next one opens. `lead` is for the cache key that the
    loop's value will fill: that of a run's first target, whose frame is gone by then.
    """

    __slots__ = (
        "_next",
        "_paused",
        "_prepared",
        "_returned_by",
        "frame",
        "job",
        "lead",
        "recovered",
        "round",
        "run",
    )

    def __init__(self, run: Run, job: Job | None, target: object) -> None:
        self.run = run
        self.job = job
        self.frame: Frame | None = None
        self.lead: Lead | None = None
        self.recovered = False
        self._next = as_target(target)
        self._returned_by = ""
        self._paused: Paused | None = None
        self._prepared: Prepared | None = None
        self.round = 0

    @property
    def target(self) -> LazyResult[Any]:
        """The target that is to be run next."""
        return self._next

    def prepare(self) -> Prepared:
        """Prepare the next target before it is its turn.

        Raises:
            CascadeError: If its tree makes no sense.
        """
        self._prepared = self.run.engine.reuse.prepare(self._next)
        return self._prepared

    def resume_at(self, pending: Pending) -> None:
        """Begin at the round that a recorded run was in, with what is recorded of it."""
        self.recovered = True
        self._prepared = None
        self.round, self._next = pending

    def next_round(self, job: Job, target: LazyResult[Any]) -> None:
        """Close the frame whose target `job` returned the next target, and go on with that one.

        Raises:
            CascadeError: If the target can't be run.
        """
        self.begin_round(job, target)
        self.advance()

    def begin_round(self, job: Job, target: LazyResult[Any]) -> None:
        """Close the frame whose target `job` returned the next target; that one is not run yet."""
        if job.lead is not None:
            if self.job is None and self.round == 0:
                self.lead = job.lead
            else:
                job.lead.give_up()  # a middle round fills no key
            job.lead = None
        self.close()
        self.recovered = False
        self.round += 1
        self._next = target

    def close(self, last: bool = False) -> None:
        """Forget the current round; `last` if no other follows it."""
        if self.frame is not None:
            self.run.close_frame(self.frame, last)
            self.frame = None

    def give_up(self) -> None:
        """Leave the cache keys that the loop's value was to fill to others."""
        for lead in (self.lead, None if self.job is None else self.job.lead):
            if lead is not None:
                lead.give_up()

    def advance(self) -> None:
        """Run rounds as plain calls as far as that goes; open a frame for one that needs it.

        Returns when a frame is open, the loop has its value, or the event loop wants its turn.

        Raises:
            CascadeError: If the next target can't be run.
        """
        run = self.run
        while True:
            value = self._go_on() if self._paused is not None else MISS
            if value is MISS and run.plain:
                value = self._call_heard() if run.heard else self._call_straight()
            if value is MISS:
                try:
                    value = self._call_prepared()
                except CascadeError as error:
                    if self._returned_by:
                        run.reports.note_place(error, self._returned_by, ROOT)
                    raise
                if value is MISS:
                    return
            if self._paused is not None:
                run.queue_loop(self)
                return
            if isinstance(value, StoppedLine):
                self._go_on_from(*value)
                return
            if not isinstance(value, LazyResult):
                run.settle_loop(self, value)
                return
            self._returned_by = self._next.task.name
            self._next = value
            if run.turn_is_over():
                run.queue_loop(self)
                return

    def _call_straight(self) -> Any:
        """Run the next target by the code written for its structure; `MISS` if there is none."""
        target = self._next
        clock = time.monotonic
        for known in self.run.engine.reuse.candidates(target):
            straight = known.straight
            if straight is not None:
                run = self.run
                if not run.announced and not run.may_announce_later(known.program):
                    lazies = known.matcher(target) if known.matcher is not None else None
                    if lazies is None:
                        continue
                    run.announce(target, lazies)
                began = clock()
                value = straight(target, repeat(None, 1))
                if value is not MISS:
                    run.announce(target, [])
                    if known.note_duration(clock() - began):
                        return self._repeat(known, straight, value)
                    self.round += 1
                    self.run.engine.reuse.note_hits(known, 1)
                    return value
        return MISS

    def _repeat(self, known: Known, straight: StraightLine, value: Any) -> Any:
        """Run rounds for as long as they have this structure and the turn lasts; return what the last one gave."""
        # What it costs beside the rounds is watched by observatory/benchmarks/bench_loops.py.
        clock, ends = time.monotonic, self.run.turn_ends
        now = clock()
        done = some = 1
        while type(value) is LazyResult and now < ends:
            rounds = repeat(None, some)
            following = straight(value, rounds)
            done += some - length_hint(rounds)
            if following is MISS or isinstance(following, Left):
                done -= 1
                value = following.target if isinstance(following, Left) else value
                break
            value = following
            before, now = now, clock()
            some = min(2 * some, ROUNDS_A_LOOK) if now - before < LOOK_SECONDS else 1
        self.round += done
        self.run.engine.reuse.note_hits(known, done)
        return value

    def _call_heard(self) -> Any:
        """Run the next target by its table and tell of each call, and so the rounds after it that have its structure.

        Returns `MISS` if the structure is not known or has no table.
        """
        # Once per round of every plain loop with a listener: watched by observatory/benchmarks/bench_events.py.
        run, reuse = self.run, self.run.engine.reuse
        for known in reuse.candidates(self._next):
            table, match = known.table, known.matcher
            if table is None or match is None or not known.inline or known.seen < reuse.COMPILED_AT:
                continue
            lazies = match(self._next)
            if lazies is None:
                continue
            run.announce(self._next, lazies)
            value: Any = self._next
            rounds = 0
            while lazies is not None:
                rounds += 1
                serial = run.next_serial()
                value = table.call_heard(lazies, run, [MISSING] * len(lazies), 0, serial)
                if isinstance(value, Stopped):
                    value = self._stopped(table, known.program, lazies, value, serial)
                    break
                self.round += 1
                if type(value) is not LazyResult or run.turn_is_over():
                    break
                lazies = match(value)
            reuse.note_hits(known, rounds)
            return value
        return MISS

    def _call_prepared(self) -> Any:
        """Run the next target by its table; open a frame for it and return `MISS` if it has none."""
        run = self.run
        prepared, self._prepared = self._prepared, None
        if prepared is None:
            prepared = run.engine.reuse.prepare(self._next)
        run.check(prepared)
        if not run.plain or prepared.table is None or (prepared.course is not None and run.heard):
            self.frame = run.open_frame(self, self._place(), prepared, {}, ())
            return MISS
        if prepared.course is not None:
            run.begin_flight(Flight(run, self, prepared.course, prepared.lazies, run.next_serial()))
            return MISS
        return self._call_table(prepared.table, prepared, [MISSING] * len(prepared.lazies), 0)

    def _call_table(self, table: Table, prepared: Prepared, values: list[Any], begin: int) -> Any:
        """Make the calls of a table from one on; `_paused` is set if the turn is over before the last."""
        run = self.run
        serial = prepared.serial
        if serial is None and run.heard:
            serial = run.next_serial()
        if serial is None:
            value = table.call(prepared.lazies, run, values, begin)
        else:
            value = table.call_heard(prepared.lazies, run, values, begin, serial)
        if not isinstance(value, Stopped):
            self.round += 1
            return value
        return self._stopped(table, prepared.program, prepared.lazies, value, serial)

    def _stopped(
        self, table: Table, program: Program, lazies: Lazies, stopped: Stopped, serial: int | None
    ) -> StoppedLine:
        """Return where the calls of a table stopped; `_paused` is set if only the turn was over."""
        line = StoppedLine(program, lazies, stopped, serial)
        if stopped.node is None:
            self._paused = Paused(table, line)
        return line

    def _go_on(self) -> Any:
        """Go on with the calls of a table after a turn of the event loop."""
        assert self._paused is not None
        (table, line), self._paused = self._paused, None
        prepared = Prepared(line.program, line.lazies, table, serial=line.serial)
        values = cast("list[Any]", line.stopped.values)
        return self._call_table(table, prepared, values, line.stopped.begin)

    def open_paused(self) -> None:
        """Open a frame for calls that are paused, so that a run that ends can tell what never started."""
        if self._paused is not None:
            line, self._paused = self._paused.line, None
            self._go_on_from(*line)

    def _go_on_from(self, program: Program, lazies: Lazies, stopped: Stopped, serial: int | None) -> None:
        """Hand a round that could not go on as plain calls over to a frame, with what it has done so far."""
        values = {node: value for node, value in enumerate(stopped.values) if value is not MISSING}
        under_way = () if stopped.node is None else (stopped.node,)
        frame = self.open_frame(program, lazies, serial, values, under_way)
        if stopped.node is not None:
            self.run.take_over(frame, stopped.node, stopped)

    def open_frame(
        self,
        program: Program,
        lazies: Lazies,
        serial: int | None,
        values: dict[int, Any],
        under_way: Collection[int],
    ) -> Frame:
        """Open a frame for a round that has begun without one: some values are known, some calls under way."""
        prepared = Prepared(program, lazies, serial=serial)
        self.frame = self.run.open_frame(self, self._place(), prepared, values, under_way)
        return self.frame

    def go_on_with(self, value: Any) -> None:
        """Go on with what a flight has given: the loop's value, or its next target."""
        self.round += 1
        if isinstance(value, LazyResult):
            self._returned_by = self._next.task.name
            self._next = value
            self.run.advance(self)
        else:
            self.run.settle_loop(self, value)

    def _place(self) -> FrameKey:
        key = None if self.job is None else self.job.key
        return FrameKey(key and key.frame, key and key.path, Turn.ROUND, self.round)
