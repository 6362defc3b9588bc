"""Modules: what the text of a module says about the names at its top.

An imported name stands for where it is imported from. A name that functions assign to while the program runs stands for
its first value. So neither depends on what the process has done so far.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple
from weakref import WeakKeyDictionary

from cascade.spec.source.scopes import bindings, free_names
from cascade.spec.source.syntax import Parsed


class Import(NamedTuple):
    """Where a name is imported from: a module, and a name in it if there is one. `level` counts leading dots."""

    module: str
    name: str | None
    level: int

    def absolute(self, package: str) -> Import:
        """Return the same without dots, for a module in `package`."""
        if not self.level:
            return self
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - self.level + 1])
        return Import(f"{base}.{self.module}".strip(".") if self.module else base, self.name, 0)


class ModuleNames:
    """The names at the top of a module, by its text.

    `imports` has what each imported name is, `assigned` the statements that bind a name in another way. `changing` are
    names that functions assign to, `changing_attributes` the attributes of classes that functions assign to, and
    `attributes` those that are assigned to at the top.
    """

    def __init__(self, file: Parsed) -> None:
        self.imports: dict[str, list[Import]] = {}
        self.imported: list[Import] = []
        self.assigned: dict[str, list[ast.stmt]] = {}
        self.changing: set[str] = set()
        self.changing_attributes: set[str] = set()
        self.attributes: set[str] = set()
        self.has_star = False
        for statement in _statements(file.module):
            self._add(statement)
        pending: list[tuple[ast.AST, bool]] = [(file.module, False)]
        while pending:
            node, is_inside = pending.pop()
            if isinstance(node, ast.Global):
                self.changing.update(node.names)
            elif (
                isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and _is_class(node.value)
            ):
                (self.changing_attributes if is_inside else self.attributes).add(node.attr)
            is_inside = is_inside or isinstance(node, _FUNCTIONS)
            pending.extend((each, is_inside) for each in ast.iter_child_nodes(node))
        self._located: dict[str, bool] = {}

    def _add(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import):
            for alias in statement.names:
                whole = Import(alias.name, None, 0)
                top = whole if alias.asname else Import(alias.name.partition(".")[0], None, 0)
                self.imports.setdefault(alias.asname or top.module, []).append(top)
                self.imported.append(whole)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                found = Import(statement.module or "", alias.name, statement.level)
                self.imported.append(found)
                if alias.name == "*":
                    self.has_star = True
                else:
                    self.imports.setdefault(alias.asname or alias.name, []).append(found)
        else:
            for name in _bound_by(statement):
                self.assigned.setdefault(name, []).append(statement)

    def binds(self, name: str) -> bool:
        """Return whether the text binds a name, or may do so without naming it."""
        return name in self.imports or name in self.assigned or self.has_star

    def loads(self, module: str, package: str) -> bool:
        """Return whether the imports of the text load a module; `package` is the one that it is in."""
        for each in self.imported:
            found = each.absolute(package)
            whole = f"{found.module}.{found.name}" if found.name else found.module
            if f"{whole}.".startswith(f"{module}."):
                return True
        return False

    def values(self, name: str) -> list[ast.expr]:
        """Return the expressions that are assigned to a name and to nothing else."""
        found = []
        for statement in self.assigned.get(name, ()):
            value = getattr(statement, "value", None)
            if not isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign) or value is None:
                return []
            found.append(value)
        return found

    def is_located(self, name: str) -> bool:
        """Return whether a constant is made from where the file lies: from `__file__` and the like."""
        known = self._located.get(name)
        if known is None:
            self._located[name] = False  # one that is made from itself adds nothing
            names = {each[0] for value in self.values(name) for each in free_names(value)}
            known = bool(names & _LOCATIONS) or any(
                map(self.is_located, sorted(names & self.assigned.keys()))
            )
            self._located[name] = known
        return known


_LOCATIONS = {"__file__", "__path__", "__spec__"}

_known: WeakKeyDictionary[Parsed, ModuleNames] = WeakKeyDictionary()


def names_in(file: Parsed) -> ModuleNames:
    """Return the names of a module."""
    found = _known.get(file)
    if found is None:
        found = _known[file] = ModuleNames(file)
    return found


def _statements(module: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run when a module is loaded, also those inside other statements."""
    pending: list[ast.AST] = list(reversed(module.body))
    while pending:
        node = pending.pop()
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = [each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.expr)]
            pending.extend(reversed(inner))


def _bound_by(statement: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds itself, without those of statements inside it."""
    yield from bindings(statement)
    pending = [each for each in ast.iter_child_nodes(statement) if not isinstance(each, ast.stmt)]
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return
    while pending:
        node = pending.pop()
        yield from bindings(node)
        if not isinstance(node, _SCOPES):
            pending.extend(each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.stmt))


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def _is_class(node: ast.expr) -> bool:
    """Return whether an expression whose attribute is assigned may be a class: a bare name but `self`, or its type."""
    if isinstance(node, ast.Name):
        return node.id != "self"
    if isinstance(node, ast.Attribute):
        return node.attr == "__class__"
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type"
