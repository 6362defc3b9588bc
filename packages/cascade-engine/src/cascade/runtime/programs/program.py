"""Programs: what can be known of a structure before it runs, by position. Immutable, and shared by all its runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from cascade.graph.model import Graph
from cascade.graph.path import ROOT, StructurePath
from cascade.graph.plain_structure import Inputs, Link, PlainStructure, sources_of
from cascade.graph.planning import Plan
from cascade.graph.small_steps import Steps
from cascade.graph.tree import NO_CALL, Call, Choice, Injected, Structure, Tree
from cascade.graph.tree_views import node_name
from cascade.runtime.programs.whereabouts import Whereabouts
from cascade.runtime.timeline.views import NodeNames
from cascade.spec.durable import FactLabel
from cascade.spec.lazy_types import LazyResult, ParamLazyResult
from cascade.spec.policies.declared import NO_POLICIES


class Program:
    """The structure of a tree, ready to be run: its columns, and the order that a plan gives its nodes.

    Holds no value and no function of the user's; those are in the lazy results that a frame binds to it. `needs_check`
    are the nodes that may have something to check, each time they are bound to new lazy results, and `params` those
    that read an input. Columns that only frames need are made for the first one. `window` is that of the plan's order.
    """

    def __init__(
        self,
        structure: Structure,
        order: tuple[int, ...],
        needs_check: tuple[int, ...],
        params: tuple[int, ...],
        window: int = 0,
    ) -> None:
        self.structure = structure
        self.order = order
        self.window = window
        self.needs_check = needs_check
        self.params = params
        self.target = structure.target
        # What stores show of the nodes, by position. Each is made when it is first needed.
        self.labels: dict[int, FactLabel] = {}
        self.made_here = b""  # as `Placement.made_here`, by position, once a frame has asked
        # Where its values have to be, with and without its target looked at, once a frame has asked.
        self.whereabouts: dict[tuple[bool, bool], Whereabouts] = {}
        self._names: NodeNames | None = None

    def __len__(self) -> int:
        return len(self.structure)

    def names(self, lazies: Sequence[LazyResult[Any]]) -> NodeNames:
        """Return the names of the nodes, which all trees of the structure have; `lazies` are those of one."""
        if self._names is None:
            structure = self.structure
            if isinstance(structure, PlainStructure):
                names = [node_name(lazies[sample]) for sample in structure.samples]
                self._names = NodeNames(map(names.__getitem__, structure.kinds))
            else:
                self._names = NodeNames(map(node_name, lazies))
        return self._names

    @cached_property
    def takers(self) -> list[int]:
        """The plain calls that take amounts, which are data and so differ among calls of one form."""
        structure = self.structure
        if not isinstance(structure, PlainStructure):
            return _NOTHING
        takers = {kind for kind, form in enumerate(structure.forms) if form.holds_amounts}
        return [node for node, kind in enumerate(structure.kinds) if kind in takers] if takers else _NOTHING

    @property
    def sequenced(self) -> bool:
        """Whether a sequence puts nodes in order."""
        return bool(self.structure.sequenced) or self.target != 0

    @cached_property
    def calls(self) -> list[Call]:
        """What each node waits for."""
        return self.structure.calls

    def call(self, node: int) -> Call:
        """Return what a node waits for, without making the others' calls."""
        return self.structure.call(node)

    @cached_property
    def paths(self) -> list[StructurePath]:
        """The place of each node."""
        return self.structure.paths

    def path(self, node: int) -> StructurePath:
        """Return the place of a node. That of a plain tree's target needs no column."""
        return ROOT if not node and self.has_only_inputs else self.paths[node]

    @property
    def has_only_inputs(self) -> bool:
        """Whether nodes wait for their inputs and for nothing else: no order, conditions, amounts or routers."""
        return isinstance(self.structure, PlainStructure)

    @cached_property
    def demands_all(self) -> bool:
        """Whether whoever demands the target demands all nodes: none has a condition or a router."""
        if self.has_only_inputs:
            return True
        return not any(call.conditions or call.choices() for call in self.calls if call is not NO_CALL)

    @cached_property
    def links(self) -> Sequence[Link]:
        """What fills each call with the values of other nodes; `None` also for those in `unlinked`."""
        if isinstance(self.structure, PlainStructure):
            return self.structure.links
        return [_link_of(call) for call in self.calls]

    @cached_property
    def unlinked(self) -> bytes:
        """Of each call, whether something else fills it: a resource, a router or what was quoted."""
        if isinstance(self.structure, PlainStructure):
            taking = [bool(form.resources) for form in self.structure.forms]
            return bytes(map(taking.__getitem__, self.structure.kinds))
        return bytes(call is not NO_CALL and not _is_linked(call) for call in self.calls)

    @cached_property
    def predecessors(self) -> list[tuple[int, ...]]:
        """The nodes that `after` and sequences put before each node."""
        return [self.structure.predecessors(position) for position in range(len(self))]

    @cached_property
    def inputs(self) -> Sequence[Sequence[int]]:
        """The nodes that each one demands as inputs at once."""
        if isinstance(self.structure, PlainStructure):
            return [*map(sources_of, self.structure.links)]
        return [_NOTHING if call is NO_CALL else call.inputs() for call in self.calls]

    @cached_property
    def prerequisites(self) -> Sequence[Sequence[int]]:
        """The nodes that each one waits for, where all are demanded: what it is ordered after, and its inputs."""
        if self.has_only_inputs:
            return self.inputs
        return [
            (*before, *inputs) if before else inputs
            for before, inputs in zip(self.predecessors, self.inputs, strict=True)
        ]

    @cached_property
    def dependents(self) -> Sequence[Sequence[int]]:
        """For each node the nodes that it is a prerequisite of, once for each place."""
        found: list[tuple[int, ...] | list[int]] = [()] * len(self)
        for node, needed in enumerate(self.prerequisites):
            if not needed:
                continue
            alone = (node,)  # most values have one place: those of one node share the tuple
            for source in needed:
                known = found[source]
                if not known:
                    found[source] = alone
                elif isinstance(known, list):
                    known.append(node)
                else:
                    found[source] = [*known, node]
        return found

    @cached_property
    def prerequisite_counts(self) -> list[int]:
        """How many prerequisites each node has."""
        return [*map(len, self.prerequisites)]

    @cached_property
    def without_prerequisites(self) -> list[int]:
        """The nodes that have none."""
        return [node for node, count in enumerate(self.prerequisite_counts) if not count]

    def frame_steps(self, lazies: Sequence[LazyResult[Any]]) -> Steps[None]:
        """Make the columns that the first frame needs of a plain tree, with a step for each."""
        if self.has_only_inputs:
            for column in ("inputs", "prerequisite_counts", "without_prerequisites", "dependents", "rank"):
                getattr(self, column)
                yield
            self.names(lazies)
            yield

    @cached_property
    def choices(self) -> dict[int, list[Choice]]:
        """The routers of each node that has any."""
        found = ((node, call.choices()) for node, call in enumerate(self.calls) if call is not NO_CALL)
        return {node: choices for node, choices in found if choices}

    @cached_property
    def needed(self) -> list[int]:
        """For how many places in other nodes the value of each may be needed."""
        counts = [0] * len(self)
        for inputs in self.inputs:
            for source in inputs:
                counts[source] += 1
        if self.demands_all:
            return counts
        for node in range(len(self)):
            for source in self.calls[node].conditions:
                counts[source] += 1
        for choices in self.choices.values():
            for choice in choices:
                for route in choice.routes:
                    counts[route] += 1
        return counts

    @cached_property
    def wanted(self) -> list[int]:
        """For how many places in other nodes each may be demanded: that its value is needed, or that it comes first."""
        counts = self.needed.copy()
        for predecessors in self.predecessors:
            for source in predecessors:
                counts[source] += 1
        return counts

    @cached_property
    def resources(self) -> list[list[str]]:
        """The resources that each call takes."""
        if isinstance(self.structure, PlainStructure):
            named = [[*form.resources] for form in self.structure.forms]
            return [named[kind] for kind in self.structure.kinds]
        return [_NO_NAMES if call is NO_CALL else call.resources() for call in self.calls]

    @cached_property
    def rank(self) -> list[int]:
        """The place of each node in the order."""
        rank = [0] * len(self)
        for place, position in enumerate(self.order):
            rank[position] = place
        return rank


def compile_program(graph: Graph, plan: Plan) -> Program:
    """Compile the graph of a lazy tree with the order that a plan gives it."""
    tree = graph.tree
    assert tree is not None
    if isinstance(tree.structure, PlainStructure):
        return Program(tree.structure, plan.order, _plain_suspects(tree.structure), (), plan.window)
    params = [position for position, lazy in enumerate(tree.lazies) if isinstance(lazy, ParamLazyResult)]
    return Program(tree.structure, plan.order, tuple(_suspects(tree)), tuple(params), plan.window)


def _is_linked(call: Call) -> bool:
    """Tell whether nothing but values of other nodes fills a call."""
    return not call.defaults and all(isinstance(source, int) for source in call.sources)


def _link_of(call: Call) -> Link:
    if call is NO_CALL or not call.slots or not _is_linked(call):
        return None
    sources = tuple(source for source in call.sources if isinstance(source, int))
    nested = any(slot.steps for slot in call.slots)
    return Inputs(call.slots, sources, nested)


def _plain_suspects(structure: PlainStructure) -> tuple[int, ...]:
    """Return the first call of each form that has something to check."""
    suspects = [
        structure.kinds.index(kind)
        for kind, form in enumerate(structure.forms)
        if form.policies is not None or form.injected or form.defaults
    ]
    return tuple(sorted(suspects))


def _suspects(tree: Tree) -> list[int]:
    pairs = zip(tree.lazies, tree.structure.calls, strict=True)
    return [position for position, (lazy, call) in enumerate(pairs) if _is_suspect(lazy, call)]


def _is_suspect(lazy: LazyResult[Any], call: Call) -> bool:
    if call is NO_CALL:
        return lazy.policies is not NO_POLICIES
    return bool(
        lazy.policies is not NO_POLICIES
        or call.defaults
        or any(isinstance(source, Injected) for source in call.sources)
    )


_NOTHING: list[int] = []
"""The inputs of all nodes that have none."""

_NO_NAMES: list[str] = []
"""The resources of all nodes that take none."""
