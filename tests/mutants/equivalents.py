"""What is not mutated, since the change would be none, or none that a test should notice; each with its reason."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Place = tuple[int, int]
"""Line, from 1, and column in bytes, from 0."""

Span = tuple[Place, Place]

OPERATORS = {
    "VariableReplacer": "needs arguments",
    "VariableInserter": "needs arguments",
    "RemoveDecorator": "nothing can be imported afterwards: no fault that anyone could make unseen",
    "ReplaceComparisonOperator_Is_Eq": "what is compared by identity here equals nothing else",
    "ReplaceComparisonOperator_IsNot_NotEq": "what is compared by identity here equals nothing else",
    "ReplaceComparisonOperator_Eq_Is": "small numbers and names are the same object when equal, in CPython",
    "ReplaceComparisonOperator_NotEq_IsNot": "small numbers and names are the same object when equal, in CPython",
    **{
        f"ReplaceComparisonOperator_{before}_{after}": "what is compared by identity has no order: any test would fail"
        for before in ("Is", "IsNot")
        for after in ("Lt", "LtE", "Gt", "GtE", "NotEq" if before == "Is" else "Eq")
    },
}
"""Operators of cosmic-ray that are left out, with the reason."""


def unread(tree: ast.Module) -> Iterator[tuple[Span, str]]:
    """Give the parts of a module that no test should read, each with the reason."""
    for node in ast.walk(tree):
        for name in ("annotation", "returns"):
            if isinstance(part := getattr(node, name, None), ast.expr):
                yield _span(part), "an annotation: nothing evaluates it"
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            for part in (*node.exc.args, *(each.value for each in node.exc.keywords)):
                if _is_text(part):
                    yield _span(part), "the wording of an error: tests ask for its facts"
        if isinstance(node, ast.ClassDef):
            for keyword in (each for call in node.decorator_list for each in getattr(call, "keywords", ())):
                if keyword.arg == "slots":
                    yield _span(keyword), "slots save memory"
        if isinstance(node, ast.stmt) and (reason := _idle(node)):
            yield _span(node), reason


def _idle(node: ast.stmt) -> str:
    """Return why a whole statement does nothing that a test could notice; "" if it does something."""
    if isinstance(node, ast.Assert):
        return "an assertion for type checkers and readers: it is never false"
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return "imports for type checkers"
    if isinstance(node, ast.Assign):
        names = {each.id for each in node.targets if isinstance(each, ast.Name)}
        if names & {"__slots__", "__all__"}:
            return "a list of names"
        if isinstance(node.value, ast.Call) and ast.unparse(node.value.func).endswith("TypeVar"):
            return "a type variable"
    return ""


def statement_lines(tree: ast.Module, line: int) -> tuple[range, bool]:
    """Return the lines of the innermost statement at a line, and whether it stands in a function.

    Of a compound statement these are the lines of its head.
    """
    best: tuple[int, range] | None = None
    is_inside = False
    for node in ast.walk(tree):
        if not isinstance(node, ast.stmt) or not node.lineno <= line <= (node.end_lineno or node.lineno):
            continue
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and line >= node.body[0].lineno:
            is_inside = True
        end = body[0].lineno - 1 if isinstance(body, list) and body else node.end_lineno
        lines = range(node.lineno, max(node.lineno, end or 0) + 1)
        if line in lines and (best is None or len(lines) < best[0]):
            best = (len(lines), lines)
    return (best[1] if best else range(line, line + 1)), is_inside


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.BinOp):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _span(node: ast.expr | ast.stmt | ast.keyword) -> Span:
    end = (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
    return (node.lineno, node.col_offset), end
