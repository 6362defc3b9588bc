"""Each change that can be made to a module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from mutants.equivalents import OPERATORS, unread
from mutants.operators import DropCall, DropOperand, DropStatement


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the operator's name, which of its places in the file, and where that is."""

    path: Path
    operator: str
    occurrence: int
    line: int
    column: int

    @property
    def name(self) -> str:
        """What tells this change from all others of the same source."""
        return f"{self.path}:{self.line}:{self.column} {self.operator} {self.occurrence}"

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


def candidates(root: Path, path: Path) -> Iterator[Mutant]:
    """Give each change that can be made to a file, but for those that change nothing."""
    text = (root / path).read_text(encoding="utf-8")
    left_out = [span for span, _ in unread(ast.parse(text))]
    nodes = [*ast_nodes(get_ast(text))]
    places: dict[str, list[tuple[int, int]]] = {}
    for name, operator in _operators().items():
        # What replaces `+` by something finds the same places, whatever that is.
        found = name.rpartition("_")[0] if name.startswith("ReplaceBinaryOperator") else name
        if found not in places:
            places[found] = [place for node in nodes for place, _ in operator.mutation_positions(node)]
        for occurrence, (line, column) in enumerate(places[found]):
            if not any(begin <= (line, column) < end for begin, end in left_out):
                yield Mutant(path, name, occurrence, line, column)


@cache
def _operators() -> dict[str, Any]:
    names = [each for each in operator_names() if each.partition("/")[2] not in OPERATORS]
    own = {each.__name__: each() for each in (DropOperand, DropCall, DropStatement)}
    return {name.partition("/")[2]: get_operator(name)() for name in names} | own
