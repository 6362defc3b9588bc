"""Descriptions of functions: their text, the defaults of their parameters, and all that they name."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import FunctionType

from cascade.spec.calls.missing import MISSING
from cascade.spec.code.descriptions import Describer, Description, Reached
from cascade.spec.code.names import Found, Known, Namespace, follow, look_up, member, namespace_of
from cascade.spec.code.ownership import home_of, is_own_class, is_own_function, library_name
from cascade.spec.code.value_kinds import DescribeValue, implementations, is_plain
from cascade.spec.source.scopes import Name, bound_in, free_names
from cascade.spec.source.syntax import Place, function_in, place_of
from cascade.spec.source.tree_digest import syntax_digest


def describe_function(reached: Reached, describer: Describer) -> Description:
    """Return the description of a function.

    Raises:
        SourceMissingError: If its text is not there, and no version was given by hand.
    """
    function: FunctionType = reached.value
    wrapped = vars(function).get("__wrapped__")
    described: list[Description] = (
        [] if wrapped is None else [DescribeValue(describer, closed_over=True)(wrapped)]
    )
    if not is_own_function(function, describer.package):
        held = _held_by_library(function, DescribeValue(describer, closed_over=True))
        return ("library", library_name(function, home_of(function)), *described, *held)
    describe = DescribeValue(describer, closed_over="<locals>" in function.__qualname__)
    found = place_of(function)
    if found is None and wrapped is not None and function.__code__.co_filename.startswith("<"):
        return ("wrapper", *described)  # written by a library that makes decorators
    if found is None:
        return (
            "function",
            *described,
            describer.missing_text(function),
            *_defaults(function, None, None, describe),
        )
    place = found[1]
    space = namespace_of(function.__globals__, function.__code__.co_filename)
    return (
        *("function", *described, syntax_digest(place.node), *_defaults(function, place, space, describe)),
        *_names(function, place, space, describer),
        *_members(function, place, reached.owner, describe),
    )


def _held_by_library(function: FunctionType, describe: DescribeValue) -> Iterator[Description]:
    """Yield descriptions of the user's own code in a library's function; its numbers and texts are the library's."""
    if home_of(function) == "functools" and hasattr(function, "registry"):
        yield implementations(function, describe)
        return
    for name in function.__code__.co_freevars:
        value = _content(function, name)
        if not is_plain(value):
            yield describe(value)


def _defaults(
    function: FunctionType, place: Place | None, space: Namespace | None, describe: DescribeValue
) -> Iterator[Description]:
    """Yield descriptions of the defaults of parameters: of a name from a library the name, of all else the value."""
    named = function.__kwdefaults__ or {}
    values = [*(function.__defaults__ or ()), *(named[name] for name in sorted(named))]
    written: list[ast.expr | None] = [None] * len(values)
    if place is not None and not isinstance(place.node, ast.ClassDef):
        arguments = place.node.args
        by_name = {
            each.arg: default
            for each, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        }
        written = [*arguments.defaults, *(by_name.get(name) for name in sorted(named))]
        if len(written) != len(values):  # somebody has set others
            written = [None] * len(values)
    for value, expression in zip(values, written, strict=True):
        path = None if expression is None else _path(expression)
        known = None
        if (
            path is not None
            and space is not None
            and space.text is not None
            and path[0] in space.text.imports
        ):
            known = look_up(space, path, describe.describer.package)
        yield known.described if isinstance(known, Known) else describe(value)


def _path(expression: ast.expr) -> Name | None:
    """Return a name with attributes, if that is all that an expression is."""
    names = free_names(expression)
    is_path = isinstance(expression, ast.Name | ast.Attribute)
    return next(iter(names)) if is_path and len(names) == 1 else None


def _names(
    function: FunctionType, place: Place, space: Namespace, describer: Describer
) -> Iterator[Description]:
    """Yield descriptions of the names that a function takes from around it."""
    around = _bound_around(place)
    changing = _changing_around(place)
    outside: list[Name] = []
    for name, *attributes in sorted(free_names(place.node, with_defaults=False)):
        name = mangled(name, place)
        attributes = [mangled(each, place) for each in attributes]
        if name in function.__code__.co_freevars:
            if name not in changing and name != "__class__":
                found = follow(space, _content(function, name), attributes, describer.package)
                yield (name, *attributes), _describe_found(found, DescribeValue(describer, closed_over=True))
        elif name not in around:
            outside.append((name, *attributes))
    yield from describe_names(outside, space, describer)


def describe_names(names: Iterable[Name], space: Namespace, describer: Describer) -> Iterator[Description]:
    """Yield descriptions of names at the top of a module, and of those that they are made from."""
    pending = [(space, name) for name in names]
    seen = {(id(space.names), name) for name in names}
    for where, path in pending:
        found = look_up(where, path, describer.package)
        if found is not None:
            yield path, _describe_found(found, DescribeValue(describer, closed_over=False))
        if isinstance(found, Known) and found.space is not None:
            more = [(found.space, each) for each in found.more]
            pending += [each for each in more if (id(each[0].names), each[1]) not in seen]
            seen.update((id(each[0].names), each[1]) for each in more)


def _describe_found(found: Known | Found | None, describe: DescribeValue) -> Description:
    if found is None:
        return None
    if isinstance(found, Known):
        return found.described
    return _attribute(found, describe) if found.owner is not None else describe(found.value)


def _attribute(found: Found, describe: DescribeValue) -> Description:
    """Return the description of an attribute of a class; where it is no constant, that of the class as well."""
    value = found.value
    inner = function_in(value)
    if isinstance(inner, FunctionType) and is_own_function(inner, describe.describer.package):
        return describe.describer.code(inner, found.owner)
    describer = describe.describer
    before, describer.is_partial = (describer.is_partial, describer.is_private), False
    described = describe(value)
    is_seen = not describer.is_partial
    describer.is_partial, describer.is_private = before
    return described if is_seen else (described, describe(found.owner))


def _bound_around(place: Place) -> set[str]:
    """Return the names that the functions around a function bind: these are no globals, whether or not it uses them."""
    functions = [each for each in place.inside if not isinstance(each, ast.ClassDef)]
    of_module = {name for each in ast.walk(place.node) if isinstance(each, ast.Global) for name in each.names}
    return {name for each in functions for name in bound_in(each)} - of_module


def _changing_around(place: Place) -> set[str]:
    """Return the names that functions assign to in the functions around them."""
    if not place.inside:
        return set()
    outermost = place.inside[0]
    return {name for each in ast.walk(outermost) if isinstance(each, ast.Nonlocal) for name in each.names}


def mangled(name: str, place: Place) -> str:
    """Return a name as the class around it makes it: `__rate` in a class `Shop` is `_Shop__rate`."""
    classes = [each.name for each in place.inside if isinstance(each, ast.ClassDef)]
    is_private = name.startswith("__") and not name.endswith("__")
    return f"_{classes[-1].lstrip('_')}{name}" if classes and is_private and classes[-1].strip("_") else name


def _content(function: FunctionType, name: str) -> object:
    cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _members(
    function: FunctionType, place: Place, owner: type | None, describe: DescribeValue
) -> Iterator[Description]:
    """Yield descriptions of the attributes that a method takes of its object, of its class and by `super()`."""
    owner = owner or _owner(function)
    if owner is None or not is_own_class(owner, describe.describer.package):
        return
    code = function.__code__
    receiver = code.co_varnames[0] if code.co_argcount else None
    for name, after in sorted(_members_taken(place.node, receiver)):
        name = mangled(name, place)
        found = member(owner, name, describe.describer.package, after)
        if found is not None:
            yield ("super" if after else "self", name), _describe_found(found, describe)


@lru_cache(maxsize=1024)
def _members_taken(node: ast.AST, receiver: str | None) -> frozenset[tuple[str, bool]]:
    """Return the names of attributes that are taken of a method's first parameter or its class, or by `super()`."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            match each.value:
                case ast.Call(func=ast.Name(id="super")):
                    found.add((each.attr, True))
                case ast.Name(id=name) | ast.Attribute(value=ast.Name(id=name), attr="__class__") if name in (
                    receiver,
                    "__class__",
                ):
                    found.add((each.attr, False))
                case ast.Call(func=ast.Name(id="type"), args=[ast.Name(id=name)]) if name == receiver:
                    found.add((each.attr, False))
    return frozenset(found)


def _owner(function: FunctionType) -> type | None:
    """Return the class whose body a function stands in, if it is found by name or through the function's closure."""
    if "__class__" in function.__code__.co_freevars:
        held = _content(function, "__class__")
        return held if isinstance(held, type) else None
    first, *others = function.__qualname__.split(".")
    found = function.__globals__.get(first, MISSING)
    for name in others[:-1]:
        found = vars(found).get(name, MISSING) if isinstance(found, type) else MISSING
    return found if others and isinstance(found, type) else None
