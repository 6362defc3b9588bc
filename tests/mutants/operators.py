"""Changes that cosmic-ray does not make: a statement, an operand or a call around a value is left out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import parso
from cosmic_ray.operators.operator import Operator

Position = tuple[tuple[int, int], tuple[int, int]]


class _Dropping(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """Replaces a node by a shorter one."""

    def mutation_positions(self, node: Any) -> Iterator[Position]:
        for each in self.shorter(node):
            if each is not None:
                yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        shorter = [*self.shorter(node)][index].strip()
        made: Any = parso.parse(shorter).children[0]  # type: ignore[no-untyped-call, unused-ignore]  # half its types
        # Parsed without the space before it, which would be an indentation.
        made.get_first_leaf().prefix = node.get_first_leaf().prefix
        return made

    def shorter(self, node: Any) -> Iterator[str]:
        """Give the texts that may stand in a node's place."""
        raise NotImplementedError

    @classmethod
    def examples(cls) -> tuple[()]:
        return ()


class DropOperand(_Dropping):
    """`a and b` becomes `a`, or `b`."""

    def shorter(self, node: Any) -> Iterator[str]:
        if node.type in ("and_test", "or_test"):
            word = f" {node.children[1].value} "
            operands = [each.get_code().strip() for each in node.children[::2]]
            for left_out in range(len(operands)):
                yield f"({word.join(operands[:left_out] + operands[left_out + 1 :])})"


class DropCall(_Dropping):
    """`await asyncio.shield(work)` becomes `await work`: what wraps a single value is left out."""

    def shorter(self, node: Any) -> Iterator[str]:
        if node.type in ("power", "atom_expr") and len(node.children) >= 2:
            last = node.children[-1]
            is_call = last.type == "trailer" and last.children[0] == "("
            if is_call and len(last.children) == 3 and last.children[1].type not in ("arglist", "argument"):
                awaiting = "await " if node.children[0] == "await" else ""
                yield f"{awaiting}({last.children[1].get_code().strip()})"


class DropStatement(_Dropping):
    """A statement that is one call becomes `pass`."""

    def shorter(self, node: Any) -> Iterator[str]:
        is_statement = node.parent is not None and node.parent.type == "simple_stmt"
        if is_statement and node.type in ("power", "atom_expr") and node.children[-1].type == "trailer":
            yield "pass"
