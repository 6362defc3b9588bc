"""Names: what a name in a module's code stands for.

The text of the module decides, not what the process has done since it was loaded.
"""

from __future__ import annotations

import builtins
import inspect
import sys
from types import ModuleType
from typing import NamedTuple

from cascade.spec.calls.missing import MISSING
from cascade.spec.code.fields import is_generated
from cascade.spec.code.ownership import is_own_class, is_own_module
from cascade.spec.source.modules import Import, ModuleNames, names_in
from cascade.spec.source.references import known_as
from cascade.spec.source.scopes import free_names
from cascade.spec.source.syntax import file_of
from cascade.spec.source.tree_digest import syntax_digest


class Known(NamedTuple):
    """The description of a name whose value need not be looked at; `more` are names in `space` that belong to it."""

    described: object
    space: Namespace | None = None
    more: tuple[tuple[str, ...], ...] = ()


class Found(NamedTuple):
    """The value that a name stands for, and the class that it is a member of, if it is one."""

    value: object
    owner: type | None = None


class Namespace(NamedTuple):
    """The names at the top of a module, and what its text says of them, if there is one."""

    names: dict[str, object]
    text: ModuleNames | None

    @property
    def package(self) -> str:
        """The package that relative imports start from."""
        module = str(self.names.get("__name__") or "")
        return str(self.names.get("__package__") or module.rpartition(".")[0])


def namespace_of(names: dict[str, object], file: str | None = None) -> Namespace:
    """Return the namespace of a module; `file` is where its text is, if the names don't say it."""
    place = file or names.get("__file__")
    parsed = file_of(place, names) if isinstance(place, str) else None
    return Namespace(names, None if parsed is None else names_in(parsed))


def look_up(space: Namespace, path: tuple[str, ...], package: str, depth: int = 0) -> Known | Found | None:
    """Return what a name at the top of a module, with attributes taken of it, stands for; `None` for a builtin.

    `package` is the top-level package of the task. Only dictionaries are read: no code of the user's runs.
    """
    name, *attributes = path
    if name in _OF_EVERY_MODULE:
        return Known(("of the module", name))
    value = space.names.get(name, MISSING)
    text = space.text
    if text is not None:
        imports = [each.absolute(space.package) for each in text.imports.get(name, ())]
        if imports and name not in text.assigned:
            known = _imported(imports, value, attributes, package, depth)
            if known is not None:
                return known
        elif (name in text.changing or text.is_located(name)) and (values := text.values(name)):
            more = sorted(frozenset().union(*map(free_names, values)) - {(name,)})
            return Known(("text", *map(syntax_digest, values)), space, tuple(more))
    if value is MISSING:
        known_builtin = hasattr(builtins, name)
        return None if known_builtin else Known(("not there",))
    return follow(space, value, attributes, package, depth)


_OF_EVERY_MODULE = {
    *(
        "__name__",
        "__file__",
        "__path__",
        "__spec__",
        "__package__",
        "__loader__",
        "__cached__",
        "__builtins__",
    ),
}
"""Names that depend on where a module lies and how it was loaded: a script, a checkout and a wheel differ in them."""


def _imported(
    imports: list[Import], value: object, attributes: list[str], package: str, depth: int
) -> Known | Found | None:
    """Return what an imported name stands for: in a library what the import says, in own code what is there."""
    own = [each for each in imports if is_own_module(each.module, package)]
    if not own:
        return Known(("library", *sorted(f"{module}:{name or ''}" for module, name, _ in set(imports))))
    if len(imports) == 1 and own[0].name is not None and depth < _DEEPEST:
        module = _loaded(own[0].module)
        held = vars(module).get(own[0].name, MISSING) if isinstance(module, ModuleType) else MISSING
        if held is not MISSING and (held is value or value is MISSING):
            return look_up(namespace_of(vars(module)), (own[0].name, *attributes), package, depth + 1)
    return None


_DEEPEST = 50
"""How many modules a name may be imported through; more are taken for a circle."""


def _loaded(module: str) -> object:
    return sys.modules.get("__main__" if known_as("__main__") == module else module) or sys.modules.get(
        module
    )


def follow(
    space: Namespace, value: object, attributes: list[str], package: str, depth: int = 0
) -> Known | Found | None:
    """Return what a chain of attributes leads to, as far as it goes through modules and classes."""
    if not attributes:
        return Found(value)
    if isinstance(value, ModuleType):
        return _member_of_module(space, value, attributes, package, depth)
    if isinstance(value, type) and is_own_class(value, package):
        return member(value, attributes[0], package) or Found(value)
    return Found(value)


def _member_of_module(
    space: Namespace, module: ModuleType, attributes: list[str], package: str, depth: int
) -> Known | Found | None:
    name = known_as(module.__name__)
    if not is_own_module(name, package):
        return Known(("library", f"{name}:"))
    inner = namespace_of(vars(module))
    value = vars(module).get(attributes[0], MISSING)
    by_name = Known(("named", name, attributes[0]))
    if isinstance(value, ModuleType) and value.__name__ == f"{module.__name__}.{attributes[0]}":
        loaders = [each for each in (space, inner) if each.text is not None]
        if not any(each.text.loads(value.__name__, each.package) for each in loaders if each.text):
            return by_name  # somebody else has loaded it, in this process
    elif "__getattr__" in vars(module) and (inner.text is None or not inner.text.binds(attributes[0])):
        return by_name  # made at the first use, or not yet
    if value is MISSING or depth >= _DEEPEST:
        return by_name
    return look_up(inner, tuple(attributes), package, depth + 1)


def member(cls: type, name: str, package: str, after: bool = False) -> Found | None:
    """Return what an attribute of an own class stands for; `None` if there is none of that name.

    Where a library has made the attribute, or the program assigns to it while it runs, this is the class as a whole.
    With `after` the classes after this one are searched, as `super()` does.
    """
    if name in getattr(cls, "_member_map_", ()):
        return Found(cls)
    for each in cls.__mro__[1:] if after else cls.__mro__:
        if name in vars(each):
            value = inspect.getattr_static(each, name)
            if not is_own_class(each, package) or _changes(each, name):
                return Found(cls)
            return Found(each) if is_generated(value, each) else Found(value, each)
    return None


def _changes(cls: type, name: str) -> bool:
    """Return whether code of a class's module assigns to that attribute while the program runs."""
    module = _loaded(cls.__module__)
    text = namespace_of(vars(module)).text if isinstance(module, ModuleType) else None
    return text is not None and name in text.changing_attributes
