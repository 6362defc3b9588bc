"""Programs: what can be known of a structure before it runs, by position. Immutable, and shared by all its runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cascade.graph.model import Graph
from cascade.graph.path import StructurePath
from cascade.graph.planning import Plan
from cascade.graph.tree import NO_CALL, Call, Injected
from cascade.spec.lazy_types import LazyResult
from cascade.spec.policies import NO_POLICIES


@dataclass(frozen=True, slots=True)
class Program:
    """The structure of a tree, ready to be run: its columns and the rank of each node in the plan.

    Holds no value and no function of the user's; those are in the lazy results that a frame binds to it.
    """

    calls: list[Call]
    paths: list[StructurePath]
    predecessors: list[tuple[int, ...]]
    inputs: list[list[int]]
    resources: list[list[str]]
    rank: list[int]
    order: tuple[int, ...]
    target: int
    sequenced: bool
    """Whether a sequence puts nodes in order."""
    suspects: tuple[int, ...]
    """The nodes that may have something to check, each time they are bound to new lazy results."""

    def __len__(self) -> int:
        return len(self.calls)


def compile_program(graph: Graph, plan: Plan) -> Program:
    """Compile the graph of a lazy tree with the order that a plan gives it."""
    tree = graph.tree
    assert tree is not None
    rank = [0] * len(tree.calls)
    for place, position in enumerate(plan.order):
        rank[position] = place
    return Program(
        tree.calls,
        tree.paths,
        [tree.predecessors(position) for position in range(len(tree.calls))],
        [_NOTHING if call is NO_CALL else call.inputs() for call in tree.calls],
        [_NO_NAMES if call is NO_CALL else call.resources() for call in tree.calls],
        rank,
        plan.order,
        tree.target,
        bool(tree.sequenced) or tree.target != 0,
        tuple(
            position for position, call in enumerate(tree.calls) if _is_suspect(tree.lazies[position], call)
        ),
    )


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
