"""Building: one pass over a lazy tree gives its nodes, and what each waits for.

Most trees are plain, and `plain_reading` reads those faster. What it declines, and all wrong calls, come here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from cascade.graph.model import Graph
from cascade.graph.path import ROOT, Place, Segment, StructurePath, segment, segment_of, shortened
from cascade.graph.plain_reading import plain_steps
from cascade.graph.small_steps import Steps, done
from cascade.graph.tree import (
    NO_CALL,
    QUOTED,
    Call,
    Choice,
    Injected,
    Source,
    Structure,
    Tree,
    injected_defaults,
)
from cascade.spec.calls.arguments import Found, find_markers, is_marker
from cascade.spec.calls.quoting import Quoted
from cascade.spec.compose import as_target
from cascade.spec.errors import CallError, SpecError
from cascade.spec.inputs.workflow import WorkflowSpec
from cascade.spec.lazy_types import Lazy, LazyResult, ParamLazyResult, SequenceLazyResult
from cascade.spec.resource import Inject
from cascade.spec.routing import Router


def build_graph(target: object) -> Graph:
    """Build the graph of a lazy result, of a list, tuple or dict of such, or of a tree that was read before.

    Nothing runs. Takes O(size of the tree), however deep it is.

    Raises:
        NotLazyError: If the target is no lazy result.
        CallError: If a call does not fit its task's signature.
        ContractConflictError: If two inputs of one name have different contracts.
        SpecError: If a lazy result is a set member or a dict key.
    """
    return Graph.of(target if isinstance(target, Tree) else read_tree(target))


def read_tree(target: object) -> Tree:
    """Return the columns of a lazy tree, from which `build_graph` makes a graph; raises what that raises."""
    return done(tree_steps(target))


def tree_steps(target: object) -> Steps[Tree]:
    """Read as `read_tree` does, with a step for each few hundred calls of a plain tree."""
    lazy = as_target(target)
    tree = yield from plain_steps(lazy)
    return tree or _Builder().build(lazy)


_Sequence: TypeAlias = SequenceLazyResult[Any]


class _Builder:
    """The columns of a tree while they grow.

    Nodes are numbered as they are found. A stack takes the place of recursion, since trees may be deep.
    """

    def __init__(self) -> None:
        self._lazies: list[Lazy] = []
        self._paths: list[StructurePath] = []
        self._calls: list[Call] = []
        self._sequenced: dict[int, list[int]] = {}
        self._positions: dict[Lazy, int] = {}
        self._inputs = WorkflowSpec()
        self._sequences: set[_Sequence] = set()
        self._pending: list[int] = []
        # Ids of literals that hold no lazy result: many calls may share a large one, which is searched once.
        self._literal_ids: set[int] = set()

    def build(self, target: Lazy) -> Tree:
        """Return the columns of the tree of `target`; called once."""
        first = self._position(target, None, None)
        self._pending.extend(range(len(self._lazies) - 1, -1, -1))
        while self._pending:
            position = self._pending.pop()
            known = len(self._lazies)
            self._calls[position] = self._call(position)
            # What this call has added is looked at next, the first argument first: the stack is taken from its end.
            if len(self._lazies) > known:
                self._pending.extend(range(len(self._lazies) - 1, known - 1, -1))
        return Tree(self._lazies, Structure(self._calls, self._paths, self._sequenced, first))

    def _position(self, lazy: Lazy, parent: StructurePath | None, step: Segment | None) -> int:
        """Return the position of a lazy result.

        One that is new gets the next position, and `step` below `parent` as its path.
        """
        if type(lazy) is SequenceLazyResult:
            return self._sequence(lazy, parent, step)
        position = self._positions.get(lazy)
        if position is None:
            position = self._positions[lazy] = len(self._lazies)
            self._lazies.append(lazy)
            self._paths.append(ROOT if parent is None or step is None else parent.below(step))
            self._calls.append(NO_CALL)
        return position

    def _sequence(self, sequence: _Sequence, parent: StructurePath | None, step: Segment | None) -> int:
        """Return the position of the last member of a sequence, and put each of the others before the next one."""
        # The sequence stands for its last member, which therefore has the path of the sequence itself.
        place = ROOT if parent is None or step is None else parent.below(step)
        last = self._position(sequence.members[-1], parent, step)
        if sequence in self._sequences:
            return last
        self._sequences.add(sequence)
        before = None
        for index, member in enumerate(sequence.members[:-1]):
            position = self._position(member, place, segment(Place.MEMBER, index))
            self._put_before(before, position)
            before = position
        self._put_before(before, last)
        return last

    def _put_before(self, before: int | None, position: int) -> None:
        if before is not None:
            self._sequenced.setdefault(position, []).append(before)

    def _call(self, position: int) -> Call:
        """Check the call of a node and return what it waits for; its lazy results become nodes if they are new."""
        lazy = self._lazies[position]
        task = lazy.task
        try:
            task.check_call(len(lazy.args), lazy.kwargs)
        except CallError as error:
            error.place = shortened(self._paths[position])
            raise
        if type(lazy) is ParamLazyResult:
            self._inputs.add(lazy.contract)
        path = self._paths[position]
        policies = lazy.policies
        found = self._markers_of(lazy, path)
        # Few calls have policies, and most have nothing to fill. They all share one object, which costs no memory.
        after: tuple[int, ...] = ()
        conditions: tuple[int, ...] = ()
        amounts: tuple[tuple[str, int], ...] = ()
        if policies.after or policies.conditions or policies.constraints:
            after = self._all(path, Place.DEPENDENCY, policies.after) if policies.after else ()
            conditions = self._all(path, Place.CONDITION, policies.conditions) if policies.conditions else ()
            amounts = self._amounts(path, lazy) if policies.constraints else ()
            if not found and not task.injected:
                return Call(after, conditions, amounts)
        elif not found and not task.injected:
            return NO_CALL
        sources = tuple([self._source(path, place) for place in found])
        defaults = injected_defaults(lazy) if task.injected else ()
        return Call(after, conditions, amounts, tuple([place.slot for place in found]), sources, defaults)

    def _markers_of(self, lazy: Lazy, path: StructurePath) -> list[Found]:
        """Return what has to be filled in the arguments of a call; an error says where in the tree the call is."""
        try:
            return find_markers(lazy.args, lazy.kwargs, self._literal_ids)
        except SpecError as error:
            where = f"in the arguments of task '{lazy.task.name}' at {path}"
            raise SpecError(f"{where}, {error.problem}", error.remedy) from None

    def _all(self, path: StructurePath, place: Place, lazies: Iterable[Any]) -> tuple[int, ...]:
        return tuple([self._position(lazy, path, segment(place, index)) for index, lazy in enumerate(lazies)])

    def _amounts(self, path: StructurePath, lazy: Lazy) -> tuple[tuple[str, int], ...]:
        """Return the amounts of a call that are lazy: the name of each and its node."""
        declared = lazy.policies.constraints.amounts if lazy.policies.constraints else ()
        return tuple(
            (name, self._position(amount, path, segment(Place.AMOUNT, name)))  # type: ignore[arg-type]  # a marker
            for name, amount in declared
            if is_marker(amount)
        )

    def _source(self, path: StructurePath, found: Found) -> Source:
        """Return what fills a slot of the call at `path`."""
        marker = found.marker
        if isinstance(marker, Inject):
            return Injected(marker.name)
        if isinstance(marker, Quoted):
            return QUOTED
        step = segment_of(found.slot)
        if isinstance(marker, Router):
            below = path.below(step)
            selector = self._position(marker.selector, below, segment(Place.SELECTOR, 0))
            routes = self._all(below, Place.ROUTE, marker.routes.values())
            return Choice(selector, tuple(marker.routes), routes)
        assert isinstance(marker, LazyResult)
        return self._position(marker, path, step)
