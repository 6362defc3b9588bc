"""Callables: what can be a task, and how it takes its arguments.

The callable itself counts, not what it wraps: that may have another signature, or be async where the wrapper is not.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from types import FunctionType, MethodType
from typing import Any, TypeAlias

from cascade.spec.calls.arguments import is_marker
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import SpecError

Function: TypeAlias = Callable[..., Any]
"""Anything that can be called."""

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
"""The kinds of parameters that an argument by position fills."""

_CACHED = type(functools.lru_cache(lambda: None))


def as_task_function(func: Any) -> Function:
    """Return the callable that a task of `func` calls.

    Raises:
        SpecError: If it can't be a task: a class, a generator function, or nothing that can be called.
    """
    if isinstance(func, staticmethod):
        func = func.__func__
    kind = type(func)
    if kind is FunctionType:
        _check_function(func, func)
        return func  # type: ignore[no-any-return]  # a function is callable
    if isinstance(func, type):
        raise SpecError(
            f"@cs.task on the class '{func.__qualname__}'",
            "write a function that makes its object and returns it",
        )
    if kind is classmethod or kind is property:
        raise SpecError(
            f"@cs.task on a {kind.__name__}", f"write @{kind.__name__} above @cs.task, or make it a function"
        )
    if is_marker(func) or not callable(func):
        raise SpecError(f"@cs.task on {func!r}, which can't be called", "put it on a function")
    _check_function(innermost(func), func)
    return func  # type: ignore[no-any-return]  # it is callable


def innermost(func: Any) -> Any:
    """Return the function that runs in the end when `func` is called.

    Looks through partials, methods, caches and objects with a `__call__`. Does not look through other wrappers: they
    may do anything.
    """
    for _ in range(_DEPTH):
        kind = type(func)
        if kind is FunctionType:
            break
        if kind is _CACHED:
            func = func.__wrapped__
        elif isinstance(func, functools.partial):
            func = func.func
        elif kind is MethodType or kind is staticmethod:
            func = func.__func__
        else:
            call = getattr(kind, "__call__", None)  # noqa: B004 - it is looked at, not called
            if type(call) is not FunctionType:
                break
            func = call
    return func


def is_coroutine_function(func: Function) -> bool:
    """Return whether a call surely returns a coroutine; that of a wrapper may do so even if this is false."""
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(innermost(func))


def own_signature(func: Function) -> inspect.Signature:
    """Return the signature of a callable itself, and not that of what it wraps.

    Raises:
        TypeError, ValueError: If it can't be read.
    """
    try:
        return inspect.signature(func, follow_wrapped=False)
    except ValueError:
        if not hasattr(func, "__wrapped__"):
            raise
        return inspect.signature(func)  # a wrapper written in C passes on what it gets: `functools.lru_cache`


def parameters_with_defaults(func: Function | None, signature: inspect.Signature) -> list[inspect.Parameter]:
    """Return the parameters whose defaults a call is made with.

    A wrapper that takes `**kwargs` is assumed to pass them on: then the defaults of what it wraps count too.
    """
    found = [each for each in signature.parameters.values() if each.default is not each.empty]
    for _ in range(_DEPTH):
        if not any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
            break
        func = getattr(func, "__wrapped__", None)
        if func is None:
            break
        try:
            signature = own_signature(func)
        except (TypeError, ValueError):
            break
        known = {each.name for each in found}
        found += [
            each
            for each in signature.parameters.values()
            if each.default is not each.empty and each.kind not in _UNNAMED and each.name not in known
        ]
    return found


def _check_function(function: object, given: object) -> None:
    if type(function) is not FunctionType:
        return
    code = function.__code__
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR) and not (
        code.co_flags & inspect.CO_ITERABLE_COROUTINE
    ):
        what = (
            "an async generator function"
            if code.co_flags & inspect.CO_ASYNC_GENERATOR
            else "a generator function"
        )
        raise SpecError(
            f"@cs.task on '{_name(given)}', which is {what}",
            "return a list; for a thing to be opened and closed use @cs.resource",
        )
    if code.co_posonlyargcount and function.__defaults__:
        names = code.co_varnames[: code.co_argcount]
        defaults = dict(zip(names[-len(function.__defaults__) :], function.__defaults__, strict=True))
        for name in names[: code.co_posonlyargcount]:
            default = defaults.get(name)
            if is_marker(default) and not isinstance(default, StandsForValue):
                raise SpecError(
                    f"task '{_name(given)}' has the default {defaults[name]!r} for its positional-only parameter "
                    f"'{name}', which is filled by name",
                    "put it behind the /",
                )


def _name(func: object) -> str:
    return str(
        getattr(func, "__qualname__", None) or getattr(innermost(func), "__qualname__", type(func).__name__)
    )


_DEPTH = 100
"""How many layers are looked through: an object may wrap itself."""

_UNNAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL)


def show_keywords(function: Function, keywords: Iterable[tuple[str, object, object]]) -> None:
    """Let the signature of a function show these keywords in place of its `**keywords`, for `help` and editors.

    A keyword is a name, a type and a default.
    """
    signature = inspect.signature(function)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    shown = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, kind, default in keywords
    ]
    function.__signature__ = signature.replace(parameters=[*own, *shown])  # type: ignore[attr-defined]
