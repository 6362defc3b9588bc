"""Digests of syntax: equal for texts that give equal values, in every version of Python."""

from __future__ import annotations

import ast
import hashlib
from functools import lru_cache


@lru_cache(maxsize=1024)
def syntax_digest(tree: ast.AST) -> bytes:
    """Return the sha256 of the syntax of a function, a class or an expression.

    It leaves out what does not change a value (positions, comments, docstrings, the function's own decorators) and what
    differs between versions of Python for the same text. It covers the decorators of a class, as they make its
    fields.
    """
    hashed = hashlib.sha256()
    pending: list[object] = [tree]
    while pending:
        part = pending.pop()
        if isinstance(part, _Mark):
            hashed.update(part)
        elif isinstance(part, list):
            hashed.update(b"[%d:" % len(part))
            pending.extend(reversed(part))
        elif isinstance(part, ast.AST):
            name = type(part).__name__
            hashed.update(b"(%d:%b" % (len(name), name.encode()))
            pending.append(_Mark(b")"))
            for field, value in reversed(_fields(part, outermost=part is tree)):
                pending += (value, _Mark(b"%d:%b=" % (len(field), field.encode())))
        else:
            hashed.update(_constant(part))
    return hashed.digest()


class _Mark(bytes):
    """A separator between the parts of a tree; a plain `bytes` is a constant of the user's code."""


def _fields(node: ast.AST, outermost: bool) -> list[tuple[str, object]]:
    """Return the fields of a node that are not empty, by name."""
    fields = []
    for name in sorted(node._fields):
        value = getattr(node, name, None)
        if name in _IGNORED or (
            outermost and name == "decorator_list" and not isinstance(node, ast.ClassDef)
        ):
            continue
        if (
            name == "body"
            and isinstance(node, _WITH_DOCSTRING)
            and ast.get_docstring(node, clean=False) is not None
        ):
            value = node.body[1:]
        elif name == "values" and isinstance(node, ast.JoinedStr):
            value = _merged(node.values)
        if isinstance(node, ast.Constant) or (value is not None and value != []):
            fields.append((name, value))
    return fields


_IGNORED = {"ctx", "kind", "type_comment", "type_ignores"}
_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def _merged(parts: list[ast.expr]) -> list[object]:
    """Return the parts of an f-string, its literal text in as few pieces as possible: parsers split it differently."""
    merged: list[object] = []
    for part in parts:
        text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else None
        if text is None:
            merged.append(part)
        elif merged and isinstance(merged[-1], str):
            merged[-1] += text
        elif text:
            merged.append(text)
    return merged


def _constant(value: object) -> bytes:
    if isinstance(value, str):
        content = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        content = value
    elif isinstance(value, int):
        content = hex(value).encode()
    else:  # a float, a complex number, `None` or `...`
        content = repr(value).encode()
    return b"<%b %d:%b>" % (type(value).__name__.encode(), len(content), content)
