"""Pieces of code: what a function, a class or another piece of code names, as far as that can be told from outside.

Names are looked up where they are stored: no property and no other code of the user's runs.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import inspect
import os
import sys
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any, NamedTuple

from cascade.spec.encoding import digest
from cascade.spec.errors import UncacheableError
from cascade.spec.missing import MISSING
from cascade.spec.syntax import (
    FunctionSyntax,
    codes_below,
    declared_global,
    is_current,
    names_read,
    syntax_digest,
    syntax_of,
)
from cascade.spec.task import PartialTask, Task

Names = list[tuple[str, object, bool]]
"""What a piece of code names: the name, what it stands for, and whether it is closed over."""


class Piece(NamedTuple):
    """A piece of code: what it is, what tells it from others, and what it names.

    `value` is what the piece was made of, without wrappers. What is no code, an object with a state say, is told by
    its class.
    """

    value: object
    kind: str
    own: object
    names: Names
    is_code: bool = True


def is_plain(value: object) -> bool:
    """Tell whether a value is a number, a string, bytes, a boolean, `None`, or a tuple of such."""
    pending = [value]
    for each in pending:
        if type(each) is tuple:
            if len(pending) > _LONGEST:
                return False
            pending += each
        elif type(each) not in _PLAIN:
            return False
    return True


_PLAIN = (type(None), bool, int, float, complex, str, bytes)
_LONGEST = 100_000
"""Members of a tuple up to which it counts as plain: one that shares its parts has many more than it takes room."""


def piece_of(value: Any, package: str) -> Piece:
    """Return the piece of code that a value is; all but `package` and what is not installed is told by name."""
    while isinstance(value, (Task, staticmethod, classmethod)):
        value = value.func if isinstance(value, Task) else value.__func__
    if isinstance(value, FunctionType):
        return _function(value, package)
    if isinstance(value, type):
        return _class(value, package)
    if isinstance(value, MethodType):
        return Piece(value, "method", None, [("", value.__func__, True), ("self", value.__self__, True)])
    if isinstance(value, (ModuleType, BuiltinFunctionType)):
        receiver = getattr(value, "__self__", None)  # of a function of a module, that module
        names: Names = [] if isinstance(receiver, ModuleType | None) else [("self", receiver, True)]
        return Piece(value, "library", f"{getattr(value, '__module__', '')} {value.__name__}", names)
    if isinstance(value, property):
        parts = {"get": value.fget, "set": value.fset, "delete": value.fdel}
        return Piece(value, "property", None, [(name, part, True) for name, part in parts.items()])
    if isinstance(value, functools.partial):
        return _partial(value, value.func, value.args, value.keywords)
    if isinstance(value, PartialTask):
        return _partial(value, value.task, value.args, value.kwargs)
    wrapped = inspect.getattr_static(value, "__wrapped__", None)
    if wrapped is not None:
        return Piece(value, "wrapper", None, [("", type(value), True), ("__wrapped__", wrapped, True)])
    own = _constant_digest(value)
    return Piece(value, "object", own, [("", type(value), True)], is_code=own is not None)


def _partial(value: object, func: object, args: tuple[object, ...], kwargs: dict[str, object]) -> Piece:
    given = [*enumerate(args), *sorted(kwargs.items())]
    return Piece(value, "partial", None, [("", func, True), *((str(at), each, True) for at, each in given)])


def _constant_digest(value: object) -> bytes | None:
    """Return the digest of a value that does not change, an enum's member or a date say; `None` for others."""
    if type(value) is tuple or type(value).__hash__ is None:
        return None
    try:
        return digest(value)
    except UncacheableError:
        return None


def _function(function: FunctionType, package: str) -> Piece:
    wrapped = vars(function).get("__wrapped__")
    names: Names = [] if wrapped is None else [("__wrapped__", wrapped, True)]
    code = function.__code__
    if not _is_own(function.__module__, code.co_filename, package):
        # What a library's function does is the library's; what it wraps or was made with is told.
        names += [(name, _content(function, name), True) for name in code.co_freevars]
        return Piece(function, "library", f"{function.__module__}.{function.__qualname__}", names)
    closed_over = "<locals>" in function.__qualname__
    for number, value in enumerate(function.__defaults__ or ()):
        names.append((f"default {number}", value, closed_over))
    for name, value in sorted((function.__kwdefaults__ or {}).items()):
        names.append((f"default {name}", value, closed_over))
    syntax = syntax_of(function) if is_current(function) else None
    if syntax is None:
        names += _by_code(function)
        return Piece(function, "bytecode", _code_digest(code), names)
    names += _by_syntax(function, syntax)
    return Piece(function, "function", syntax_digest(syntax), names)


def _by_syntax(function: FunctionType, syntax: FunctionSyntax) -> Names:
    code = function.__code__
    local = {*code.co_varnames, *code.co_cellvars} - declared_global(syntax)
    receiver = code.co_varnames[0] if code.co_argcount else None
    found: Names = []
    for name, *attributes in names_read(syntax):
        if name in code.co_freevars:
            value = _content(function, name)
        elif name not in local:
            value = function.__globals__.get(name, MISSING)
        elif name == receiver and attributes:
            value = _owner(function)
        else:
            continue
        found += _followed(name, value, attributes, name in code.co_freevars)
    return found


def _followed(name: str, value: object, attributes: list[str], closed_over: bool) -> Names:
    """Return what a name stands for, with attributes taken as long as they are those of modules and classes."""
    at = name
    for attribute in attributes:
        if not isinstance(value, (ModuleType, type)):
            break
        value = inspect.getattr_static(value, attribute, MISSING)
        at = f"{at}.{attribute}"
    return [] if value is MISSING else [(at, value, closed_over)]


def _by_code(function: FunctionType) -> Names:
    """Return what the names in a function's code may stand for: more than it reads, where a name has two uses."""
    found: Names = []
    names = sorted({name for each in codes_below(function.__code__) for name in each.co_names})
    for name in names:
        value = function.__globals__.get(name, MISSING)
        if value is not MISSING:
            found.append((name, value, False))
        if isinstance(value, ModuleType):
            members = ((each, vars(value).get(each, MISSING)) for each in names)
            found += [(f"{name}.{each}", member, False) for each, member in members if member is not MISSING]
    return [*found, *((name, _content(function, name), True) for name in function.__code__.co_freevars)]


def _content(function: FunctionType, name: str) -> object:
    cell = (function.__closure__ or ())[function.__code__.co_freevars.index(name)]
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def _owner(function: FunctionType) -> object:
    """Return the class whose body the function stands in, if that is found by name."""
    first, *others = function.__qualname__.split(".")
    found = function.__globals__.get(first, MISSING)
    for name in others[:-1]:
        found = inspect.getattr_static(found, name, MISSING)
    return found if isinstance(found, type) else MISSING


def _class(cls: type, package: str) -> Piece:
    name = f"{cls.__module__}.{cls.__qualname__}"
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    if not _is_own(cls.__module__, file, package):
        return Piece(cls, "library", name, [])
    closed_over = "<locals>" in cls.__qualname__
    names: Names = [(f"base {number}", base, closed_over) for number, base in enumerate(cls.__bases__)]
    names += [(each, value, closed_over) for each, value in _members(cls, package, closed_over)]
    return Piece(cls, "class", name, names)


def _members(cls: type, package: str, is_local: bool) -> Iterator[tuple[str, object]]:
    """Give what a class body has bound: functions, nested classes and plain constants; of a local one, all else too."""
    fields = vars(cls).get("__dataclass_fields__", {})
    is_enum = isinstance(cls, enum.EnumType)
    is_written = (
        bool(fields) or is_enum or "_fields" in vars(cls)
    )  # in part by Python, for each version in its way
    for name, value in sorted(vars(cls).items()):
        inner = getattr(value, "__func__", value)
        if name in _OF_EVERY_CLASS or (is_enum and name.startswith("_") and name.endswith("_")):
            continue
        if isinstance(inner, FunctionType):
            if not is_written or _is_by_hand(inner, package):
                yield name, value
        elif isinstance(value, functools.cached_property):
            yield name, value.func
        elif _is_told(value) or (is_local and _is_bound_by_hand(name, value)):
            yield name, value
    for name, each in fields.items():
        yield f"field {name}", str(each.type)
        if is_plain(each.default) or (is_local and each.default is not dataclasses.MISSING):
            yield f"default {name}", each.default
        if each.default_factory is not dataclasses.MISSING:
            yield f"factory {name}", each.default_factory


def _is_told(value: object) -> bool:
    return is_plain(value) or isinstance(value, (type, Task, property, enum.Enum))


def _is_bound_by_hand(name: str, value: object) -> bool:
    return not name.startswith("__") and not isinstance(value, MemberDescriptorType)


def _is_by_hand(function: FunctionType, package: str) -> bool:
    file = function.__code__.co_filename
    return not file.startswith(_GENERATED) and _is_own(function.__module__, file, package)


_GENERATED = ("<string>", "<attrs ")  # what `dataclass`, `namedtuple` and attrs call their text
_OF_EVERY_CLASS = {
    *(
        "__module__",
        "__qualname__",
        "__doc__",
        "__dict__",
        "__weakref__",
        "__annotations__",
        "__firstlineno__",
    ),
    *("__static_attributes__", "__annotate__", "__annotate_func__", "__annotations_cache__", "__slots__"),
    *(
        "__match_args__",
        "__abstractmethods__",
        "__replace__",
        "__conditional_annotations__",
        "__type_params__",
    ),
}


def _is_own(module: str | None, file: str, package: str) -> bool:
    """Tell whether code is the user's: of this package, or neither installed nor of Python nor of Cascade."""
    top = (module or "").partition(".")[0]
    if top == _CASCADE or file.startswith("<frozen"):
        return False
    is_installed = not _INSTALLED.isdisjoint(file.replace("\\", "/").split("/"))
    is_standard = file.startswith(_STANDARD) and not is_installed
    return not is_standard and (top == package or (bool(file) and not is_installed))


_CASCADE = __name__.partition(".")[0]
_INSTALLED = {"site-packages", "dist-packages"}
_STANDARD = os.path.dirname(os.__file__) + os.sep  # noqa: PTH120 - pathlib would be loaded for this alone


def _code_digest(code: CodeType) -> bytes:
    """Return the sha256 of a function's bytecode and of that inside it, for this version of Python."""
    told = [
        (each.co_name, each.co_code, each.co_names, each.co_varnames, each.co_freevars, each.co_flags)
        for each in codes_below(code)
    ]
    constants = [[_told(constant) for constant in each.co_consts] for each in codes_below(code)]
    return digest((sys.implementation.cache_tag, told, constants))


def _told(constant: object) -> object:
    """Return what stands for a constant of bytecode: itself, or what it is; code inside is told beside it."""
    if is_plain(constant):
        return constant
    if isinstance(constant, CodeType):
        return ["code"]
    return ["frozenset", constant] if isinstance(constant, frozenset) else ["other", repr(constant)]
