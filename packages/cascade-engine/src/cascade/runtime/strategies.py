"""Strategies: how a target is driven. By graph reuse a structure is built and planned once, every tree only matched.

The other strategy is the tail-call loop, in `cascade.runtime.running.loops`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from cascade.graph.build import build_graph, read_tree
from cascade.graph.plain_structure import PlainStructure
from cascade.graph.structure_keys import structure_key
from cascade.graph.tree import Tree
from cascade.runtime.fast.call_tables import Table, make_table
from cascade.runtime.fast.dependents import Course
from cascade.runtime.fast.loop_source import (
    Matcher,
    StraightLine,
    compile_matcher,
    compile_straight_line,
)
from cascade.runtime.fast.matcher import make_matcher
from cascade.runtime.fast.matcher_source import NotCompilableError
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program, compile_program
from cascade.runtime.protocols import Solver
from cascade.runtime.sharing.placement import Placement
from cascade.runtime.sharing.time_slice import SLICE_SECONDS
from cascade.spec.lazy_types import LazyResult


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
        self._slow = self._slow + 1 if seconds > SLICE_SECONDS else 0
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

    def __init__(self, placement: Placement, solver: Solver) -> None:
        self._placement = placement
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
        for lazy in _samples(tree):
            self._placement.check(lazy.task)
        inline = all(self._placement.is_inline(lazy) for lazy in _samples(tree))
        on_the_loop = inline or all(self._placement.runs_on_loop(lazy) for lazy in _samples(tree))
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
            if known.table is not None and len(known.program) > self.COMPILED_NODES:
                known.table = make_table(known.program, again=True)
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
