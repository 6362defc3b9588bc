"""Kinds of values: one row says how the values of some types are described in a code version.

A description has the content of a value. It does not depend on which object it is, on where its class is defined or on
what was done with it. A value without a row is described by its class, if that is the user's own; what such an object
holds is not seen.
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
from cascade.spec.code.descriptions import Describer, Description, Value
from cascade.spec.code.ownership import is_own_class, library_name
from cascade.spec.code.type_descriptions import (
    describe_alias,
    describe_forward,
    describe_new_type,
    describe_type_alias,
    describe_variable,
    is_type_alias,
)
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
    """A row: a name, the types, and the function that describes a value; it is given what describes the parts."""

    name: str
    types: tuple[type, ...]
    describe: Callable[[Value, DescribeValue], Description]


class DescribeValue(NamedTuple):
    """Describes a value and its parts.

    `closed_over` says that a function inside another one holds the value. `depth` is how many values it stands in.
    """

    describer: Describer
    closed_over: bool
    depth: int = 0
    aliases: tuple[object, ...] = ()  # the type aliases that are being described: they may name themselves

    def __call__(self, value: object) -> Description:
        """Return the description of a value."""
        if self.depth > _DEEPEST:
            return self.describer.unknown(self.closed_over)
        row = _BY_TYPE.get(type(value)) or _by_base(value)
        inner = self._replace(depth=self.depth + 1)
        return (row.name, row.describe(value, inner)) if row is not None else _object(value, inner)

    def all(self, values: Iterable[object]) -> tuple[Description, ...]:
        """Return the description of each of some values."""
        return tuple([self(each) for each in values])

    def inside_alias(self, alias: object) -> DescribeValue:
        """Return what describes the type that `alias` stands for."""
        return self._replace(aliases=(*self.aliases, alias))


_DEEPEST = 60
"""How deep values inside values are looked at: deeper ones are not seen."""


def _text(value: object, describe: DescribeValue) -> Description:
    return str(value)


def _digest(value: object, describe: DescribeValue) -> Description:
    try:
        return digest(value)
    except UncacheableError:  # a time in a zone of somebody's own
        return describe.describer.unknown(describe.closed_over)


def _shown(value: object, describe: DescribeValue) -> Description:
    return repr(value)


def _function(value: object, describe: DescribeValue) -> Description:
    return describe.describer.code(value)


def _class(value: type, describe: DescribeValue) -> Description:
    if is_own_class(value, describe.describer.package):
        return describe.describer.code(value)
    return ("library", library_name(value))


def _builtin(value: Value, describe: DescribeValue) -> Description:
    holder = value.__self__
    if holder is None or isinstance(holder, ModuleType):
        return ("library", library_name(value))
    return ("method", value.__name__, describe(holder))


def _of_builtin_class(value: Value, describe: DescribeValue) -> Description:
    return ("library", f"{library_name(value.__objclass__)}.{value.__name__}")


def _method(value: MethodType, describe: DescribeValue) -> Description:
    return describe(value.__func__), describe(value.__self__)


def _partial(value: functools.partial[object], describe: DescribeValue) -> Description:
    return describe(value.func), describe.all(value.args), _named(value.keywords, describe)


def _partial_task(value: PartialTask[object], describe: DescribeValue) -> Description:
    return describe(value.task), describe.all(value.args), _named(value.kwargs, describe)


def _named(values: Mapping[str, object], describe: DescribeValue) -> Description:
    return tuple((name, describe(values[name])) for name in sorted(values))


def _property(value: property, describe: DescribeValue) -> Description:
    return describe.all((value.fget, value.fset, value.fdel))


def _inner(value: Value, describe: DescribeValue) -> Description:
    return describe(value.__func__)


def _wrapped(value: Value, describe: DescribeValue) -> Description:
    return describe(value.__wrapped__)


def _single_dispatch_method(value: Value, describe: DescribeValue) -> Description:
    return describe(value.func), implementations(value.dispatcher, describe)


def implementations(dispatcher: Value, describe: DescribeValue) -> Description:
    """Describe those functions of a `singledispatch` function that stand in its own module."""
    registry = dispatcher.registry
    home = getattr(registry.get(object), "__module__", None)
    own = [(kind, each) for kind, each in registry.items() if getattr(each, "__module__", None) == home]
    own.sort(key=lambda item: (module_of(item[0]), item[0].__qualname__))
    return tuple((describe(kind), describe(each)) for kind, each in own)


def _sequence(value: Iterable[object], describe: DescribeValue) -> Description:
    return describe.all(value)


def _set(value: frozenset[object], describe: DescribeValue) -> Description:
    return tuple(sorted(describe.all(value), key=digest))


def _path(value: pathlib.PurePath, describe: DescribeValue) -> Description:
    return ("concrete" if isinstance(value, pathlib.Path) else type(value).__name__), value.as_posix()


def _pattern(value: re.Pattern[str] | re.Pattern[bytes], describe: DescribeValue) -> Description:
    return describe(value.pattern), value.flags


def _by_parts(value: Value, describe: DescribeValue) -> Description:
    """Describe a value by what a copy of it would be made from."""
    make, parts = value.__reduce__()[:2]
    return describe(make) if isinstance(make, functools.partial) else None, describe.all(parts)


def _slice(value: slice, describe: DescribeValue) -> Description:
    return describe.all((value.start, value.stop, value.step))


def _struct(value: struct.Struct, describe: DescribeValue) -> Description:
    return value.format


def _module(value: ModuleType, describe: DescribeValue) -> Description:
    return known_as(value.__name__)


def _task(value: AnyTask, describe: DescribeValue) -> Description:
    """Describe a task by its function and by the versions given by hand: a caller may return the task's value."""
    versions = (value.version, getattr(value.policies.cache, "version", None) or "")
    before = describe.describer.is_excused
    describe.describer.is_excused = before or bool(versions[0])
    described = describe(value.func)
    describe.describer.is_excused = before
    return described, versions


def _lazy(value: Lazy, describe: DescribeValue) -> Description:
    cache = getattr(value.policies.cache, "version", None) or ""
    peculiar = (getattr(value, "mapped", ()), _arguments(getattr(value, "members", ()), describe))
    return (
        describe(value.task),
        _arguments(value.args, describe),
        _arguments(value.kwargs, describe),
        cache,
        peculiar,
    )


def _arguments(value: object, describe: DescribeValue) -> Description:
    """Describe the arguments of a lazy result. Containers are described too, as nobody changes these."""
    if describe.depth > _DEEPEST:
        return describe.describer.unknown(describe.closed_over)
    inner = describe._replace(depth=describe.depth + 1)
    if type(value) is list or type(value) is tuple:
        return (type(value).__name__, *(_arguments(each, inner) for each in value))
    if type(value) is dict:
        pairs = ((describe(name), _arguments(each, inner)) for name, each in value.items())
        return ("dict", *sorted(pairs, key=digest))
    return describe(value)


def _router(value: Router, describe: DescribeValue) -> Description:
    return _arguments([value.selector, value.routes], describe)


def _contract(value: ParamContract | EnvContract, describe: DescribeValue) -> Description:
    default = getattr(value, "default", None)
    return value.name, describe(value.type), describe(default)


def _resource(value: Resource, describe: DescribeValue) -> Description:
    return value.name


def _inject(value: Inject, describe: DescribeValue) -> Description:
    return value.name


def _file(value: File, describe: DescribeValue) -> Description:
    """Describe an input file by its path: its content counts at each call that has it as an argument."""
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
    Kind("cached property", (functools.cached_property,), lambda value, describe: describe(value.func)),
    Kind("static or class method", (staticmethod, classmethod), _inner),
    Kind("cached function", (type(functools.cache(len)),), _wrapped),
    Kind("generic method", (functools.singledispatchmethod,), _single_dispatch_method),
    Kind("type variable", (typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple), describe_variable),
    Kind("new type", (typing.NewType,), describe_new_type),
    Kind("forward reference", (typing.ForwardRef,), describe_forward),
    Kind("task", (Task,), _task),
    Kind("partial task", (PartialTask,), _partial_task),
    Kind("router", (Router,), _router),
    Kind("input", (ParamContract, EnvContract), _contract),
    Kind("input file", (File,), _file),
    Kind("resource", (Resource,), _resource),
    Kind("injected resource", (Inject,), _inject),
)
"""The rows for values of exactly these types."""


def _enum_member(value: enum.Enum, describe: DescribeValue) -> Description:
    return describe(type(value)), str(value.name), describe(value.value)


BASES = (
    Kind("path", (pathlib.PurePath,), _path),
    Kind("class", (type,), _class),
    Kind("module", (ModuleType,), _module),
    Kind("lazy result", (LazyResult,), _lazy),
    Kind("member of an enum", (enum.Enum,), _enum_member),
    Kind("type", (types.GenericAlias, types.UnionType), describe_alias),
)
"""The rows for values of these types and of their subclasses."""

_BY_TYPE = {each: row for row in ROWS for each in row.types}


def _by_base(value: object) -> Kind | None:
    for row in BASES:
        if isinstance(value, row.types):
            return row
    return None


def _object(value: Value, describe: DescribeValue) -> Description:
    """Describe a value without a row: an immutable one by its data, a wrapper by what it wraps."""
    kind = type(value)
    own = is_own_class(kind, describe.describer.package)
    described: list[Description] = [describe.describer.code(kind)] if own else []
    if isinstance(value, tuple) and hasattr(kind, "_fields"):
        return ("named tuple", *described, describe.all(tuple.__iter__(value)))
    if _is_frozen_dataclass(kind):
        fields = [(name, describe(getattr(value, name, None))) for name in sorted(kind.__dataclass_fields__)]
        return ("frozen dataclass", *described, tuple(fields))
    if kind.__module__ == "typing" and typing.get_origin(value) is not None:
        return ("type", describe_alias(value, describe))
    if is_type_alias(value):
        return ("type alias", describe_type_alias(value, describe))
    if kind.__module__ == "zoneinfo" and getattr(value, "key", None):
        return ("zone", value.key)
    constant = _constant(value)
    if constant is not None:
        return ("constant", *described, constant)
    held = vars_of(value)
    if "__wrapped__" in held:
        return ("wrapper", *described, describe(held["__wrapped__"]))
    if class_attribute(kind, "__get__") is not MISSING or class_attribute(kind, "__call__") is not MISSING:
        described += [describe(held[name]) for name in sorted(held) if isinstance(held[name], _CODE)]
    if kind.__module__ == "logging" and not describe.closed_over:
        return ("logger",)  # a value does not depend on it
    return ("object", *described, describe.describer.unknown(describe.closed_over))


_CODE = (FunctionType, MethodType, Task, staticmethod, classmethod, functools.partial)


def _is_frozen_dataclass(kind: type) -> bool:
    parameters = vars(kind).get("__dataclass_params__")
    return parameters is not None and bool(parameters.frozen)


def is_plain(value: object) -> bool:
    """Return whether a value is a number, a text or the like."""
    return type(value) in _PLAIN


_PLAIN = ROWS[0].types


def _constant(value: object) -> bytes | None:
    """Return the digest of an immutable value that can be part of a cache key; `None` for others."""
    if type(value).__hash__ is None:
        return None
    try:
        return digest(value)
    except UncacheableError:
        return None
