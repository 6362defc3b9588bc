"""Dependents: of a structure with coroutines, which calls wait for which, by position."""

from __future__ import annotations

from cascade.graph.plain_structure import PlainStructure
from cascade.runtime.programs.plain_values import Lazies
from cascade.runtime.programs.program import Program


class Course:
    """What is the same for all flights of one structure: which calls wait for which. Immutable, holds no task.

    `calls` has each node with the link that fills its arguments, in the plan's order.
    """

    __slots__ = ("calls", "dependents", "first", "is_async", "missing", "program", "users")

    def __init__(self, program: Program, structure: PlainStructure, lazies: Lazies) -> None:
        self.program = program
        self.calls = [(node, structure.links[node]) for node in program.order]
        self.is_async = bytes(lazy.task.is_async for lazy in lazies)
        self.missing = [len(inputs) for inputs in program.inputs]
        self.dependents: dict[int, list[int]] = {}
        for node, inputs in enumerate(program.inputs):
            for each in inputs:
                self.dependents.setdefault(each, []).append(node)
        # How many places in the arguments of calls each value is for.
        self.users = [0] * len(program.inputs)
        for inputs in program.inputs:
            for each in inputs:
                self.users[each] += 1
        # The ranks of the calls that wait for nothing, in the plan's order.
        self.first = [rank for rank, node in enumerate(program.order) if not self.missing[node]]
