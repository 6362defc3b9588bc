"""Strategies: how a target is driven.

Graph reuse: a structure is built and planned once, every tree of it only matched. The tail-call loop: where a target
returns the next target, that one is run in its place, and nothing of the last round is kept.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from cascade.graph.build import build_graph, read_tree
from cascade.graph.path import ROOT
from cascade.graph.structure import structure_key
from cascade.graph.tree import Tree
from cascade.runtime.compiling import (
    MISS,
    Matcher,
    NotCompilableError,
    StoppedLine,
    StraightLine,
    compile_matcher,
    compile_straight_line,
)
from cascade.runtime.keys import FrameKey, Turn
from cascade.runtime.plain import TURN_SECONDS, Lazies, Stopped
from cascade.runtime.program import Program, compile_program
from cascade.runtime.protocols import Solver
from cascade.runtime.tables import Table, make_table
from cascade.spec.compose import as_target
from cascade.spec.errors import CascadeError
from cascade.spec.lazy_types import LazyResult
from cascade.spec.missing import MISSING

if TYPE_CHECKING:
    from cascade.runtime.caching import Lead
    from cascade.runtime.engine import Engine
    from cascade.runtime.frame import Frame
    from cascade.runtime.jobs import Job
    from cascade.runtime.run import Run


@dataclass(frozen=True, slots=True)
class Prepared:
    """A program, the lazy results of one tree in its order, and the table if all its calls are plain.

    `serial` is the tree's number in the run, if it has one already.
    """

    program: Program
    lazies: Lazies
    table: Table | None
    serial: int | None = None


@dataclass(frozen=True, slots=True)
class ReuseStats:
    """How often a target's structure was built, was known or not, and was forgotten to make room."""

    builds: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0


class Known:
    """A structure seen before. It is interpreted at first; if it comes again, code is written for it."""

    __slots__ = ("_slow", "inline", "key", "matcher", "program", "root", "seen", "straight", "table")

    def __init__(self, key: Hashable, root: int, program: Program, inline: bool, table: Table | None) -> None:
        self.key = key
        self.root = root
        self.program = program
        self.inline = (
            inline  # all calls: where a call runs is a matter of its task and mode, so of the structure
        )
        self.table = table
        self.seen = 0
        self.matcher: Matcher | None = None
        self.straight: StraightLine | None = None
        self._slow = 0

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
                return Prepared(known.program, lazies, known.table)
        tree = read_tree(target)
        key = structure_key(tree)
        found = self._known.get(key) if candidates else None
        if found is None:
            return self._build(target, tree, key)
        self._see_again(found, tree.lazies)
        return Prepared(found.program, tree.lazies, found.table)

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
        inline = all(self._engine.is_inline(lazy) for lazy in tree.lazies)
        table = make_table(program, tree.lazies) if inline else None
        self._remember(Known(key, target.task.serial, program, inline, table))
        return Prepared(program, tree.lazies, table)

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
        if known.seen == 1 and known.table is not None:
            known.table.learn(lazies)
            known.matcher = known.table.match
        if known.seen != self.COMPILED_AT or len(known.program) > self.COMPILED_NODES:
            return
        try:
            known.matcher = compile_matcher(known.program, lazies)
            if known.inline:
                known.straight = compile_straight_line(known.program, lazies)
        except NotCompilableError:
            pass


class Paused(NamedTuple):
    """The calls of a table, when the event loop has its turn."""

    table: Table
    line: StoppedLine


class TailCallLoop:
    """The rounds that stand in the place of one call, or of the run itself (`job` is `None`).

    One frame at a time: it is closed and forgotten before the next one opens. `lead` is for the cache key that the
    loop's value will fill: that of a run's first target, whose frame is gone by then.
    """

    __slots__ = ("_next", "_paused", "_returned_by", "_round", "frame", "job", "lead", "run")

    def __init__(self, run: Run, job: Job | None, target: object) -> None:
        self.run = run
        self.job = job
        self.frame: Frame | None = None
        self.lead: Lead | None = None
        self._next = as_target(target)
        self._returned_by = ""
        self._paused: Paused | None = None
        self._round = 0

    def next_round(self, job: Job, target: LazyResult[Any]) -> None:
        """Close the frame whose target `job` returned the next target, and go on with that one.

        Raises:
            CascadeError: If the target can't be run.
        """
        if job.lead is not None:
            if self.job is None and self._round == 0:
                self.lead = job.lead
            else:
                job.lead.give_up()  # a middle round fills no key
            job.lead = None
        self.close()
        self._round += 1
        self._next = target
        self.advance()

    def close(self) -> None:
        """Forget the current round."""
        if self.frame is not None:
            self.run.close_frame(self.frame)
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
            if value is MISS and run.plain and not run.heard:
                value = self._call_straight()
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
                if not self.run.announced:
                    lazies = known.matcher(target) if known.matcher is not None else None
                    if lazies is None:
                        continue
                    self.run.announce(target, lazies)
                began = clock()
                value = straight(target)
                if value is not MISS:
                    if known.note_duration(clock() - began):
                        return self._repeat(known, straight, value)
                    self._round += 1
                    return value
        return MISS

    def _repeat(self, known: Known, straight: StraightLine, value: Any) -> Any:
        """Run rounds for as long as they have this structure and the turn lasts; return what the last one gave."""
        # Once per round of every plain loop: watched by observatory/benchmarks/bench_loops.py.
        clock, ends = time.monotonic, self.run.turn_ends
        rounds = 1
        while type(value) is LazyResult and clock() < ends:
            following = straight(value)
            if following is MISS:
                break
            rounds += 1
            self._next, value = value, following
        self._round += rounds
        self.run.engine.reuse.note_hits(known, rounds)
        return value

    def _call_prepared(self) -> Any:
        """Run the next target by its table; open a frame for it and return `MISS` if it has none."""
        run = self.run
        prepared = run.engine.reuse.prepare(self._next)
        run.check(prepared)
        if not run.plain or prepared.table is None:
            self.frame = run.open_frame(self, self._place(), prepared, {}, None)
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
            self._round += 1
            return value
        stopped = StoppedLine(prepared.program, prepared.lazies, value, serial)
        if value.node is None:
            self._paused = Paused(table, stopped)
        return stopped

    def _go_on(self) -> Any:
        """Go on with the calls of a table after a turn of the event loop."""
        assert self._paused is not None
        (table, line), self._paused = self._paused, None
        prepared = Prepared(line.program, line.lazies, table, line.serial)
        values = cast("list[Any]", line.stopped.values)
        return self._call_table(table, prepared, values, line.stopped.begin)

    def open_paused(self) -> None:
        """Open a frame for calls that are paused, so that a run that ends can tell what never started."""
        if self._paused is not None:
            line, self._paused = self._paused.line, None
            self._go_on_from(*line)

    def _go_on_from(self, program: Program, lazies: Lazies, stopped: Stopped, serial: int | None) -> None:
        """Hand a round that could not go on as plain calls over to a frame, with what it has done so far."""
        prepared = Prepared(program, lazies, None, serial)
        values = {node: value for node, value in enumerate(stopped.values) if value is not MISSING}
        self.frame = self.run.open_frame(self, self._place(), prepared, values, stopped.node)
        if stopped.node is not None:
            self.run.take_over(self.frame, stopped.node, stopped)

    def _place(self) -> FrameKey:
        key = None if self.job is None else self.job.key
        return FrameKey(key and key.frame, key and key.path, Turn.ROUND, self._round)
