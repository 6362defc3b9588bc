"""Strategies: how a target is driven. By graph reuse a structure is built and planned once, every tree only matched.

The other strategy is the tail-call loop, in `cascade.runtime.running.loops`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from cascade.adapters.solvers.native import NativeSolver
from cascade.graph.build import build_graph, tree_steps
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.planning.staging import stage_steps
from cascade.graph.small_steps import Steps
from cascade.graph.structure_keys import structure_key
from cascade.graph.tree import Tree
from cascade.runtime.fast.call_tables import Table
from cascade.runtime.fast.dependents import Course
from cascade.runtime.fast.loop_source import (
    CompiledLoop,
    Matcher,
    WatchedLoop,
    compile_loop,
    compile_matcher,
    compile_watched,
)
from cascade.runtime.fast.matcher import make_matcher
from cascade.runtime.fast.matcher_source import NotCompilableError
from cascade.runtime.frames.reporting.watching import Noting
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program, compile_program
from cascade.runtime.protocols import Solver
from cascade.runtime.sharing.placement import Placement, Way, in_stretches
from cascade.runtime.sharing.time_slice import SLICE_SECONDS
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.lazy_types import LazyResult, MappedLazyResult


@dataclass(frozen=True, slots=True)
class BoundPlan:
    """A program with the lazy results of one tree in its order, the way in which it may be run, and what does so.

    The table is there for trees of plain calls, the course if coroutines are among them. `serial` is the tree's number
    in the run, if it has one already.
    """

    program: Program
    lazies: Lazies
    way: Way = Way.SCHEDULED
    table: Table | None = None
    course: Course | None = None
    serial: int | None = None

    @property
    def is_laid_out(self) -> bool:
        """Whether the calls can be made at once: where a table makes them, it is laid out."""
        return self.table is None or self.course is not None or self.table.is_laid_out


@dataclass(frozen=True, slots=True)
class ReuseStats:
    """How often a target's structure was built, was known or not, and was forgotten to make room."""

    builds: int = 0
    hits: int = 0
    misses: int = 0
    evictions: int = 0


class CachedPlan:
    """A structure seen before. It is interpreted at first; if it comes again, code is written for it."""

    __slots__ = (
        "compiled",
        "course",
        "has_maps",
        "key",
        "matcher",
        "program",
        "root",
        "seen",
        "slow",
        "table",
        "watched",
        "way",
    )

    def __init__(self, key: Hashable, target: LazyResult[Any], plan: BoundPlan) -> None:
        self.key = key
        self.root = target.task.serial
        self.program = plan.program
        self.way = plan.way
        self.table = plan.table
        self.course = plan.course
        self.seen = 0
        self.matcher: Matcher | None = None
        self.compiled: CompiledLoop | None = None
        self.has_maps = False
        self.watched: dict[Noting, WatchedLoop | None] = {}  # `None` where it can't be written
        self.slow = 0  # long trees in a row: the next one says whether it was the machine's doing

    def bound(self, lazies: Lazies) -> BoundPlan:
        """Return the plan for the lazy results of a tree that has this structure."""
        return BoundPlan(self.program, lazies, self.way, self.table, self.course)

    def watched_loop(self, target: LazyResult[Any], noting: Noting) -> WatchedLoop | None:
        """Return the loop that notes so much, written when it is first wanted; `None` if there is none."""
        if self.compiled is None:
            return None
        if noting not in self.watched:
            lazies = None if self.matcher is None else self.matcher(target)
            if lazies is None:
                return None
            try:
                self.watched[noting] = compile_watched(self.program, lazies, noting)
            except NotCompilableError:
                self.watched[noting] = None
        return self.watched[noting]

    def note_duration(self, seconds: float) -> bool:
        """Note how long the plain calls of one tree took; return whether that is short enough for more of them.

        Calls that take long gain nothing by being made plainly, and owe the event loop its turns: after three long
        trees in a row the structure is interpreted. One alone may be the machine's doing.
        """
        self.slow = self.slow + 1 if seconds > SLICE_SECONDS else 0
        if self.slow == 3:
            self.compiled = None
        return not self.slow


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

    def __init__(self, placement: Placement, solver: Solver) -> None:
        self._placement = placement
        self._solver = solver
        self._known: OrderedDict[Hashable, CachedPlan] = OrderedDict()
        self._by_root: dict[int, list[CachedPlan]] = {}
        self._nodes = 0
        self._builds = self._hits = self._misses = self._evictions = 0

    @property
    def stats(self) -> ReuseStats:
        """The counts so far."""
        return ReuseStats(self._builds, self._hits, self._misses, self._evictions)

    def match(self, target: LazyResult[Any]) -> BoundPlan | None:
        """Return the program of a target whose structure came before and has a matcher; `None` if it has not."""
        for known in self.candidates(target):
            lazies = None if known.matcher is None else known.matcher(target)
            if lazies is not None:
                self._see_again(known, lazies)
                return known.bound(lazies)
        return None

    def steps(self, target: LazyResult[Any]) -> Steps[BoundPlan]:
        """Return the program of a target that no matcher knows, built only if no structure like it is known.

        Others may have a turn at each step; for a small tree there is hardly one.

        Raises:
            CascadeError: If the tree makes no sense; see `build_graph` and `Solver.resolve`.
        """
        tree = yield from tree_steps(target)
        key = structure_key(tree)
        found = self._known.get(key) if target.task.serial in self._by_root else None
        if found is None:
            return (yield from self._build(target, tree, key))
        self._see_again(found, tree.lazies)
        return found.bound(tree.lazies)

    def candidates(self, target: LazyResult[Any]) -> list[CachedPlan]:
        """Return the known structures that a target may have, the last used first."""
        return self._by_root.get(target.task.serial, [])[: self.TRIED]

    def note_hits(self, known: CachedPlan, hits: int) -> None:
        """Note that a structure was met again so many times."""
        self._hits += hits
        self._known.move_to_end(known.key)
        siblings = self._by_root[known.root]
        if siblings[0] is not known:
            siblings.remove(known)
            siblings.insert(0, known)

    def _build(self, target: LazyResult[Any], tree: Tree, key: Hashable) -> Steps[BoundPlan]:
        graph = build_graph(tree)
        self._builds += 1
        self._misses += 1
        solver = self._solver
        # One that builds on the default solver gives a plan of its own.
        plan = (yield from stage_steps(graph)) if type(solver) is NativeSolver else solver.resolve(graph)
        program = compile_program(graph, plan)
        for lazy in _samples(tree):
            self._placement.check(lazy.task)
        samples = _samples(tree)
        bound = _bound(program, tree.lazies, self._placement.way_of(samples), samples)
        self._remember(CachedPlan(key, target, bound))
        return bound

    def _remember(self, known: CachedPlan) -> None:
        if known.key in self._known or len(known.program) > self.MAX_NODES:
            return
        self._known[known.key] = known
        self._by_root.setdefault(known.root, []).insert(0, known)
        self._nodes += len(known.program)
        while len(self._known) > self.MAX_STRUCTURES or self._nodes > self.MAX_NODES:
            self._forget(self._known.popitem(last=False)[1])

    def _forget(self, known: CachedPlan) -> None:
        self._evictions += 1
        self._nodes -= len(known.program)
        siblings = self._by_root[known.root]
        siblings.remove(known)
        if not siblings:
            del self._by_root[known.root]

    def _see_again(self, known: CachedPlan, lazies: Lazies) -> None:
        known.seen += 1
        self.note_hits(known, 1)
        structure = known.program.structure
        if known.seen == 1 and isinstance(structure, PlainStructure):
            known.matcher = make_matcher(structure)
            if known.table is not None and len(known.program) > self.COMPILED_NODES:
                known.table = Table(known.program, structure, gather=True)
        if known.seen != self.COMPILED_AT or len(known.program) > self.COMPILED_NODES:
            return
        try:
            known.matcher = compile_matcher(known.program, lazies)
            if known.way is Way.INLINE:
                known.compiled = compile_loop(known.program, lazies)
                known.has_maps = any(isinstance(lazy, MappedLazyResult) for lazy in lazies)
        except NotCompilableError:
            pass


def _bound(program: Program, lazies: Lazies, way: Way, samples: Lazies) -> BoundPlan:
    """Return the plan of a tree that may be run in a way; what is not plain has no table, but perhaps written code."""
    structure = program.structure
    if way is Way.SCHEDULED or not isinstance(structure, PlainStructure):
        return BoundPlan(program, lazies, way)
    if not all(in_stretches(lazy.policies) for lazy in samples):
        return BoundPlan(program, lazies, way)
    if way is Way.ON_LOOP and any(form.resources for form in structure.forms):
        return BoundPlan(program, lazies, Way.SCHEDULED)
    course = Course(program, structure, lazies) if way is Way.ON_LOOP else None
    return BoundPlan(program, lazies, way, Table(program, structure), course)


def _samples(tree: Tree) -> Lazies:
    """Return lazy results that have among them each way in which a call of the tree can be made."""
    structure = tree.structure
    if isinstance(structure, PlainStructure):
        return [tree.lazies[position] for position in structure.samples]
    return tree.lazies
