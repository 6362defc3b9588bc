"""Classes: the text of the class statement, and what the class holds.

The text gives the fields with their defaults, the methods, their decorators, and how a library is to make the class.
What the class holds gives what no text says: a constant that was read from the environment, or the fields of
`namedtuple("Rates", "vat", defaults=[20])`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from types import FunctionType, ModuleType

from cascade.spec.code.descriptions import Describer, Description, Reached
from cascade.spec.code.fields import fields_of, is_generated, is_written_by_library
from cascade.spec.code.functions import describe_names, mangled
from cascade.spec.code.names import Namespace
from cascade.spec.code.ownership import is_own_class, is_own_function
from cascade.spec.code.value_kinds import DescribeValue
from cascade.spec.source.modules import ModuleNames, names_in
from cascade.spec.source.references import module_of
from cascade.spec.source.scopes import bound_in, free_names
from cascade.spec.source.syntax import Place, file_of, function_in
from cascade.spec.source.texts import is_installed
from cascade.spec.source.tree_digest import syntax_digest


def describe_class(reached: Reached, describer: Describer) -> Description:
    """Return the description of a class of the user's own.

    Raises:
        SourceMissingError: If the text of a method is not there, and no version was given by hand.
    """
    cls: type = reached.value
    is_local = "<locals>" in cls.__qualname__
    describe = DescribeValue(describer, closed_over=is_local)
    names, file = _module_of(cls)
    parsed = file_of(file, names) if file else None
    places = [] if parsed is None else parsed.classes(cls.__qualname__)
    space = Namespace(names, None if parsed is None else names_in(parsed))
    described: list[Description] = ["class", cls.__qualname__, module_of(cls) if places else ""]
    for place in places:
        described += [syntax_digest(place.node), *_names(place, space, describer)]
    kinds = (*cls.__bases__, type(cls))
    bases = [each for each in kinds if is_own_class(each, describer.package)]
    if not places:
        bases = list(cls.__bases__)
    changing = set() if space.text is None else space.text.changing_attributes
    before = describer.is_partial, describer.is_private
    held = [(name, describe(value)) for name, value in fields_of(cls, with_types=not places)]
    held += [
        (name, _member(value, cls, describe))
        for name, value in _members(cls, places, space.text, is_local)
        if name not in changing
    ]
    if places and not is_local:  # the text says what they are made from
        describer.is_partial, describer.is_private = before
    return (*described, *[describe(each) for each in bases], ("holds", *held))


def _module_of(cls: type) -> tuple[dict[str, object], str]:
    """Return the names at the top of the module that a class is of, and its file."""
    module = sys.modules.get(cls.__module__)
    names = vars(module) if isinstance(module, ModuleType) else {}
    for value in list(vars(cls).values()):  # of a module that was loaded again, or is no longer there
        inner = function_in(value)
        if isinstance(inner, FunctionType) and inner.__globals__.get("__name__") == cls.__module__:
            file = inner.__code__.co_filename
            return inner.__globals__, names.get("__file__") or "" if file.startswith("<") else file
    return names, names.get("__file__") or ""


def _names(place: Place, space: Namespace, describer: Describer) -> Iterator[Description]:
    around = {name for each in place.inside for name in bound_in(each) if not isinstance(each, ast.ClassDef)}
    inner = Place(place.node, (*place.inside, place.node))
    paths = [
        tuple(mangled(each, inner) for each in path)
        for path in sorted(free_names(place.node))
        if path[0] not in around
    ]
    return describe_names(paths, space, describer)


def _members(
    cls: type, places: list[Place], text: ModuleNames | None, is_local: bool
) -> Iterator[tuple[str, object]]:
    """Yield the members of a class that its text does not describe.

    These are constants and, in a class inside a function, what its methods close over. Without a text these are all.
    """
    written = {name for place in places for name in bound_in(place.node)}
    written |= set() if text is None else text.attributes
    for name, value in sorted(vars(cls).items()):
        inner = function_in(value)
        if name in getattr(cls, "_member_map_", ()) or name in _OF_EVERY_CLASS:
            continue
        if places:
            is_wanted = name in written and (is_local or not hasattr(type(value), "__get__"))
        elif isinstance(inner, FunctionType):
            is_wanted = not is_generated(inner, cls) and not is_installed(inner.__code__.co_filename)
        else:
            is_wanted = not name.startswith("__") and not (name.startswith("_") and name.endswith("_"))
            is_wanted = is_wanted and not is_written_by_library(cls) and name != "_abc_impl"
        if is_wanted and type(value) not in _GETTERS:
            yield name, value


def _member(value: object, cls: type, describe: DescribeValue) -> Description:
    inner = function_in(value)
    is_function = isinstance(inner, FunctionType) and is_own_function(inner, describe.describer.package)
    return describe.describer.code(inner, cls) if is_function else describe(value)


class _Slotted:
    __slots__ = ("slot",)


_GETTERS = (type(vars(_Slotted)["slot"]), type(vars(Place)["node"]))
"""The types of the descriptors for the fields of named tuples and of classes with slots."""
_OF_EVERY_CLASS = {
    "__module__",
    "__qualname__",
    "__doc__",
    "__dict__",
    "__weakref__",
    "__annotations__",
    "__slots__",
}
