"""Lazy defaults: lazy results that stand as the default of a parameter.

A call that leaves such a parameter out has the lazy result as an argument, so that a run finds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from inspect import Signature, signature
from types import FunctionType

from cascade.spec.calls.arguments import Arguments, Keywords, holds_marker
from cascade.spec.calls.injection import Inject
from cascade.spec.calls.signatures import POSITIONAL, parameters_with_defaults
from cascade.spec.tasks.definition import TaskDefinition


def has_lazy_defaults(task: TaskDefinition) -> bool:
    """Return whether a default of the task is or holds a lazy result; injections are filled in another way."""
    func = task.func
    if type(func) is FunctionType and "__wrapped__" not in func.__dict__:
        defaults = (*(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values())
        return any(_is_lazy(each) for each in defaults)
    return any(True for _ in _lazy_defaults(task))


def _lazy_defaults(task: TaskDefinition) -> Iterator[tuple[str, object]]:
    for parameter in parameters_with_defaults(task.func, task.signature):
        if _is_lazy(parameter.default):
            yield parameter.name, parameter.default


def _is_lazy(default: object) -> bool:
    return type(default) is not Inject and holds_marker(default)


class LazyDefaults:
    """The lazy defaults of one task by parameter.

    `wrapped_names` are the names that positional arguments have in what a wrapper hands them on to.
    """

    # No dataclass: making one would take longer than importing the rest of this module.
    __slots__ = ("defaults", "signature", "wrapped_names")

    def __init__(
        self, signature: Signature, defaults: dict[str, object], wrapped_names: tuple[str, ...]
    ) -> None:
        self.signature = signature
        self.defaults = defaults
        self.wrapped_names = wrapped_names

    def left_out(self, args: Arguments, kwargs: Keywords) -> dict[str, object]:
        """Return the defaults of the parameters that a call leaves out; none for a call that does not fit.

        A call that does not fit is an error of the structure, which is raised when that is looked at.
        """
        try:
            given = self.signature.bind_partial(*args, **kwargs).arguments
        except TypeError:
            return {}
        known = {*given, *kwargs, *self.wrapped_names[: len(args)]}
        return {name: default for name, default in self.defaults.items() if name not in known}

    def added(
        self, args: Arguments, kwargs: Keywords, missing: dict[str, object]
    ) -> tuple[Arguments, Keywords]:
        """Return the arguments of a call with the defaults that it left out."""
        positional = [
            each for each in self.signature.parameters.values() if each.kind is each.POSITIONAL_ONLY
        ]
        wanted = [place for place, each in enumerate(positional) if each.name in missing]
        if wanted:
            between = positional[len(args) : wanted[-1] + 1]
            if any(each.default is each.empty for each in between):
                return args, kwargs  # the call does not fit, as above
            args = (*args, *(each.default for each in between))
        names = {each.name for each in positional}
        return args, {**kwargs, **{name: each for name, each in missing.items() if name not in names}}


def lazy_defaults_of(task: TaskDefinition) -> LazyDefaults:
    """Return the lazy defaults of a task."""
    return LazyDefaults(task.signature, dict(_lazy_defaults(task)), _wrapped_names(task))


def _wrapped_names(task: TaskDefinition) -> tuple[str, ...]:
    if not any(each.kind is each.VAR_POSITIONAL for each in task.signature.parameters.values()):
        return ()
    return tuple(each.name for each in signature(task.func).parameters.values() if each.kind in POSITIONAL)
