"""Kinds: how each kind of value that code reaches is told, one row for each.

A value is told by what it is, never by which object it is, where its class is defined or what was done with it. What
has no row is an object: its class is told if that is the user's own, and what it holds is not seen.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import functools
import operator
import pathlib
import re
import struct
import types
import typing
import uuid
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType, MethodType, ModuleType
from typing import NamedTuple

from cascade.spec.calls.missing import MISSING
from cascade.spec.code.ownership import is_own_class, library_name
from cascade.spec.code.telling import Teller, Told, Value
from cascade.spec.common import EnvContract, ParamContract
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import UncacheableError
from cascade.spec.inputs.files import File
from cascade.spec.lazy_types import Lazy, LazyResult
from cascade.spec.resource import Inject, Resource
from cascade.spec.routing import Router
from cascade.spec.source.references import class_attribute, known_as, module_of
from cascade.spec.source.syntax import vars_of
from cascade.spec.task import AnyTask, PartialTask, Task


class Kind(NamedTuple):
    """A row: what the values are called, their types, and what stands for one, given what tells its parts."""

    name: str
    types: tuple[type, ...]
    tell: Callable[[Value, Tell], Told]


class Tell(NamedTuple):
    """Tells parts of a value: `closed_over` says that a function inside another one holds it."""

    teller: Teller
    closed_over: bool
    depth: int = 0
    aliases: tuple[object, ...] = ()  # the type aliases that are being told: they may name themselves

    def __call__(self, value: object) -> Told:
        """Return what stands for a value."""
        if self.depth > _DEEPEST:
            return self.teller.unknown(self.closed_over)
        row = _BY_TYPE.get(type(value)) or _by_base(value)
        inner = self._replace(depth=self.depth + 1)
        return (row.name, row.tell(value, inner)) if row is not None else _object(value, inner)

    def all(self, values: Iterable[object]) -> tuple[Told, ...]:
        """Return what stands for each of some values."""
        return tuple([self(each) for each in values])


_DEEPEST = 60
"""Values inside values that are told: deeper ones are not seen."""


def _text(value: object, tell: Tell) -> Told:
    return str(value)


def _digest(value: object, tell: Tell) -> Told:
    try:
        return digest(value)
    except UncacheableError:  # a time in a zone of somebody's own
        return tell.teller.unknown(tell.closed_over)


def _shown(value: object, tell: Tell) -> Told:
    return repr(value)


def _function(value: object, tell: Tell) -> Told:
    return tell.teller.code(value)


def _class(value: type, tell: Tell) -> Told:
    if is_own_class(value, tell.teller.package):
        return tell.teller.code(value)
    return ("library", library_name(value))


def _builtin(value: Value, tell: Tell) -> Told:
    holder = value.__self__
    if holder is None or isinstance(holder, ModuleType):
        return ("library", library_name(value))
    return ("method", value.__name__, tell(holder))


def _of_builtin_class(value: Value, tell: Tell) -> Told:
    return ("library", f"{library_name(value.__objclass__)}.{value.__name__}")


def _method(value: MethodType, tell: Tell) -> Told:
    return tell(value.__func__), tell(value.__self__)


def _partial(value: functools.partial[object], tell: Tell) -> Told:
    return tell(value.func), tell.all(value.args), _named(value.keywords, tell)


def _partial_task(value: PartialTask[object], tell: Tell) -> Told:
    return tell(value.task), tell.all(value.args), _named(value.kwargs, tell)


def _named(values: Mapping[str, object], tell: Tell) -> Told:
    return tuple((name, tell(values[name])) for name in sorted(values))


def _property(value: property, tell: Tell) -> Told:
    return tell.all((value.fget, value.fset, value.fdel))


def _inner(value: Value, tell: Tell) -> Told:
    return tell(value.__func__)


def _wrapped(value: Value, tell: Tell) -> Told:
    return tell(value.__wrapped__)


def _single_dispatch_method(value: Value, tell: Tell) -> Told:
    return tell(value.func), implementations(value.dispatcher, tell)


def implementations(dispatcher: Value, tell: Tell) -> Told:
    """Return what stands for the functions that a generic one chooses from, those that stand in its own module."""
    registry = dispatcher.registry
    home = getattr(registry.get(object), "__module__", None)
    own = [(kind, each) for kind, each in registry.items() if getattr(each, "__module__", None) == home]
    own.sort(key=lambda item: (module_of(item[0]), item[0].__qualname__))
    return tuple((tell(kind), tell(each)) for kind, each in own)


def _sequence(value: Iterable[object], tell: Tell) -> Told:
    return tell.all(value)


def _set(value: frozenset[object], tell: Tell) -> Told:
    return tuple(sorted(tell.all(value), key=digest))


def _path(value: pathlib.PurePath, tell: Tell) -> Told:
    return ("concrete" if isinstance(value, pathlib.Path) else type(value).__name__), value.as_posix()


def _pattern(value: re.Pattern[str] | re.Pattern[bytes], tell: Tell) -> Told:
    return tell(value.pattern), value.flags


def _by_parts(value: Value, tell: Tell) -> Told:
    """Tell by what copying it would be made from."""
    make, parts = value.__reduce__()[:2]
    return tell(make) if isinstance(make, functools.partial) else None, tell.all(parts)


def _slice(value: slice, tell: Tell) -> Told:
    return tell.all((value.start, value.stop, value.step))


def _struct(value: struct.Struct, tell: Tell) -> Told:
    return value.format


def _alias(value: Value, tell: Tell) -> Told:
    origin: object = typing.get_origin(value)
    if origin in (typing.Union, types.UnionType):
        return "union", tell.all(typing.get_args(value))
    parts = [tuple(each) if isinstance(each, list) else each for each in typing.get_args(value)]
    is_plain = _is_type_alias(origin) or (isinstance(origin, type) and origin.__module__ != "typing")
    name: object = (
        tell(origin) if is_plain else getattr(origin, "__name__", None) or getattr(origin, "_name", "")
    )
    return name, tell.all(parts)


def _is_type_alias(value: object) -> bool:
    """Tell whether a value was made by a `type` statement, which came with Python 3.12."""
    kind = type(value)
    return kind.__module__ == "typing" and kind.__name__ == "TypeAliasType"


def _type_alias(value: Value, tell: Tell) -> Told:
    if any(each is value for each in tell.aliases):
        return value.__name__
    try:
        meant = value.__value__  # the code after `type ROWS =` runs here
    except Exception:  # noqa: BLE001 - whatever that code raises; a task that needs the value fails too
        return value.__name__, tell.teller.unknown(tell.closed_over)
    return value.__name__, tell._replace(aliases=(*tell.aliases, value))(meant)


def _variable(value: Value, tell: Tell) -> Told:
    return value.__name__


def _new_type(value: typing.NewType, tell: Tell) -> Told:
    return value.__name__, tell(value.__supertype__)


def _forward(value: typing.ForwardRef, tell: Tell) -> Told:
    return value.__forward_arg__


def _module(value: ModuleType, tell: Tell) -> Told:
    return known_as(value.__name__)


def _task(value: AnyTask, tell: Tell) -> Told:
    """Tell the versions that were given by hand, too: who calls the task may return its value."""
    versions = (value.version, getattr(value.policies.cache, "version", None) or "")
    before = tell.teller.is_excused
    tell.teller.is_excused = before or bool(versions[0])
    told = tell(value.func)
    tell.teller.is_excused = before
    return told, versions


def _lazy(value: Lazy, tell: Tell) -> Told:
    cache = getattr(value.policies.cache, "version", None) or ""
    peculiar = (getattr(value, "mapped", ()), _arguments(getattr(value, "members", ()), tell))
    return tell(value.task), _arguments(value.args, tell), _arguments(value.kwargs, tell), cache, peculiar


def _arguments(value: object, tell: Tell) -> Told:
    """Tell what a lazy result holds, containers too: nobody changes them."""
    if tell.depth > _DEEPEST:
        return tell.teller.unknown(tell.closed_over)
    inner = tell._replace(depth=tell.depth + 1)
    if type(value) is list or type(value) is tuple:
        return (type(value).__name__, *(_arguments(each, inner) for each in value))
    if type(value) is dict:
        pairs = ((tell(name), _arguments(each, inner)) for name, each in value.items())
        return ("dict", *sorted(pairs, key=digest))
    return tell(value)


def _router(value: Router, tell: Tell) -> Told:
    return _arguments([value.selector, value.routes], tell)


def _contract(value: ParamContract | EnvContract, tell: Tell) -> Told:
    default = getattr(value, "default", None)
    return value.name, tell(value.type), tell(default)


def _resource(value: Resource, tell: Tell) -> Told:
    return value.name


def _inject(value: Inject, tell: Tell) -> Told:
    return value.name


def _file(value: File, tell: Tell) -> Told:
    """Tell an input file by its path: its content counts where it is an argument, at each call."""
    return value.__fspath__()


ROWS = (
    Kind("plain", (type(None), bool, int, float, complex, str, bytes), _digest),
    Kind("constant of Python", (type(...), type(NotImplemented)), _text),
    Kind("number", (decimal.Decimal, fractions.Fraction), _digest),
    Kind("date", (datetime.date, datetime.datetime, datetime.time, datetime.timedelta), _digest),
    Kind("zone", (datetime.timezone,), _shown),
    Kind("uuid", (uuid.UUID,), _digest),
    Kind("range", (range,), _text),
    Kind("tuple", (tuple,), _sequence),
    Kind("frozenset", (frozenset,), _set),
    Kind("slice", (slice,), _slice),
    Kind("pattern", (re.Pattern,), _pattern),
    Kind("getter", (operator.itemgetter, operator.attrgetter, operator.methodcaller), _by_parts),
    Kind("struct", (struct.Struct,), _struct),
    Kind("function", (FunctionType,), _function),
    Kind("builtin function", (types.BuiltinFunctionType, types.MethodWrapperType), _builtin),
    Kind(
        "method of a builtin class",
        (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType),
        _of_builtin_class,
    ),
    Kind("bound method", (MethodType,), _method),
    Kind("partial", (functools.partial,), _partial),
    Kind("partial method", (functools.partialmethod,), _partial),
    Kind("property", (property,), _property),
    Kind("cached property", (functools.cached_property,), lambda value, tell: tell(value.func)),
    Kind("static or class method", (staticmethod, classmethod), _inner),
    Kind("cached function", (type(functools.cache(len)),), _wrapped),
    Kind("generic method", (functools.singledispatchmethod,), _single_dispatch_method),
    Kind("type variable", (typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), _variable),
    Kind("new type", (typing.NewType,), _new_type),
    Kind("forward reference", (typing.ForwardRef,), _forward),
    Kind("task", (Task,), _task),
    Kind("partial task", (PartialTask,), _partial_task),
    Kind("router", (Router,), _router),
    Kind("input", (ParamContract, EnvContract), _contract),
    Kind("input file", (File,), _file),
    Kind("resource", (Resource,), _resource),
    Kind("injected resource", (Inject,), _inject),
)
"""Types whose values are told, each row for values of exactly these types."""


def _enum_member(value: enum.Enum, tell: Tell) -> Told:
    return tell(type(value)), str(value.name), tell(value.value)


BASES = (
    Kind("path", (pathlib.PurePath,), _path),
    Kind("class", (type,), _class),
    Kind("module", (ModuleType,), _module),
    Kind("lazy result", (LazyResult,), _lazy),
    Kind("member of an enum", (enum.Enum,), _enum_member),
    Kind("type", (types.GenericAlias, types.UnionType), _alias),
)
"""Types whose values are told, those of their subclasses too."""

_BY_TYPE = {each: row for row in ROWS for each in row.types}


def _by_base(value: object) -> Kind | None:
    for row in BASES:
        if isinstance(value, row.types):
            return row
    return None


def _object(value: Value, tell: Tell) -> Told:
    """Tell a value that has no row of its own: one that can't change by its data, a wrapper by what it wraps."""
    kind = type(value)
    own = is_own_class(kind, tell.teller.package)
    told: list[Told] = [tell.teller.code(kind)] if own else []
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return ("named tuple", *told, tell.all(tuple.__iter__(value)))
    if _is_frozen_dataclass(kind):
        fields = [(name, tell(getattr(value, name, None))) for name in sorted(kind.__dataclass_fields__)]
        return ("frozen dataclass", *told, tuple(fields))
    if kind.__module__ == "typing" and typing.get_origin(value) is not None:
        return ("type", _alias(value, tell))
    if _is_type_alias(value):
        return ("type alias", _type_alias(value, tell))
    if kind.__module__ == "zoneinfo" and getattr(value, "key", None):
        return ("zone", value.key)
    constant = _constant(value)
    if constant is not None:
        return ("constant", *told, constant)
    held = vars_of(value)
    if "__wrapped__" in held:
        return ("wrapper", *told, tell(held["__wrapped__"]))
    if class_attribute(kind, "__get__") is not MISSING or class_attribute(kind, "__call__") is not MISSING:
        told += [tell(held[name]) for name in sorted(held) if isinstance(held[name], _CODE)]
    if kind.__module__ == "logging" and not tell.closed_over:
        return ("logger",)  # a value does not depend on it
    return ("object", *told, tell.teller.unknown(tell.closed_over))


_CODE = (FunctionType, MethodType, Task, staticmethod, classmethod, functools.partial)


def _is_frozen_dataclass(kind: type) -> bool:
    parameters = vars(kind).get("__dataclass_params__")
    return parameters is not None and bool(parameters.frozen)


def is_plain(value: object) -> bool:
    """Tell whether a value is a number, a text or the like."""
    return type(value) in _PLAIN


_PLAIN = ROWS[0].types


def _constant(value: object) -> bytes | None:
    """Return the digest of a value that can't change and has a form in cache keys; `None` for others."""
    if type(value).__hash__ is None:
        return None
    try:
        return digest(value)
    except UncacheableError:
        return None
