"""What may be mutated: the modules, and each change that can be made to one."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from mutants.operators import DropCall, DropOperand, DropStatement

MODULES = (
    "packages/cascade-graph/src/cascade/graph/*.py",
    "packages/cascade-engine/src/cascade/runtime/flow.py",
    "packages/cascade-engine/src/cascade/runtime/frames/frame.py",
    "packages/cascade-engine/src/cascade/runtime/running/open_frames.py",
    "packages/cascade-engine/src/cascade/runtime/recording/recorder.py",
    "packages/cascade-engine/src/cascade/runtime/recording/run_record.py",
    "packages/cascade-engine/src/cascade/runtime/sharing/capacity.py",
    "packages/cascade-engine/src/cascade/runtime/sharing/single_flight.py",
    "packages/cascade-engine/src/cascade/adapters/cache/*.py",
    "packages/cascade-engine/src/cascade/runtime/resource_manager.py",
    "packages/cascade-engine/src/cascade/runtime/fast/matcher_source.py",
)
"""Where a fault would be delicate. Of written code the generator is mutated."""

_LEFT_OUT = ("VariableReplacer", "VariableInserter", "RemoveDecorator")
"""Operators that need arguments, or make what no import survives."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the operator's name, which of its places in the file, and where that is."""

    path: Path
    operator: str
    occurrence: int
    line: int
    column: int

    def source(self, text: str) -> str | None:
        """Return the changed source; `None` if it is the same or is no Python."""
        changed: str | None = mutate_code(text, _operators()[self.operator], self.occurrence)
        if changed is None or changed == text:
            return None
        try:
            ast.parse(changed)
        except SyntaxError:
            return None
        return changed


def modules(root: Path) -> list[Path]:
    """Return the files that are mutated, relative to the root of the repository."""
    return sorted(path.relative_to(root) for pattern in MODULES for path in root.glob(pattern))


def candidates(root: Path, path: Path) -> Iterator[Mutant]:
    """Give each change that can be made to a file, but for those in annotations, which nothing evaluates."""
    text = (root / path).read_text(encoding="utf-8")
    unread = _annotations(ast.parse(text))
    nodes = [*ast_nodes(get_ast(text))]
    for name, operator in _operators().items():
        occurrence = 0
        for node in nodes:
            for (line, column), _ in operator.mutation_positions(node):
                if not any(begin <= (line, column) < end for begin, end in unread):
                    yield Mutant(path, name, occurrence, line, column)
                occurrence += 1


def _operators() -> dict[str, Any]:
    names = [each for each in operator_names() if not each.endswith(_LEFT_OUT)]
    own = {each.__name__: each() for each in (DropOperand, DropCall, DropStatement)}
    return {name.partition("/")[2]: get_operator(name)() for name in names} | own


def _annotations(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    nodes = [*ast.walk(tree)]
    parts = [getattr(node, name, None) for node in nodes for name in ("annotation", "returns")]
    return [
        ((part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset))
        for part in parts
        if part is not None
    ]
