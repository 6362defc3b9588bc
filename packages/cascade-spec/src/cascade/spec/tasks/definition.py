"""Task definitions: the function of a task, its signature, and the name that it is found under.

This is all that cache policies and cache keys need of a task. `Task` derives from it and adds the call.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import NamedTuple

from cascade.spec.calls.arguments import Slot
from cascade.spec.calls.injection import Inject
from cascade.spec.calls.signatures import (
    POSITIONAL,
    Function,
    as_task_function,
    is_coroutine_function,
    own_signature,
    parameters_with_defaults,
)
from cascade.spec.errors import CallError
from cascade.spec.source.references import find_loaded, module_of
from cascade.spec.source.texts import take

_serials = itertools.count()
_take_names: Callable[..., object] = functools.update_wrapper


class TaskReference(NamedTuple):
    """Where a task is found: a module and the qualified name in it."""

    module: str
    qualname: str

    def find(self) -> object:
        """Return what stands there, among the modules already imported; `MISSING` if nothing does.

        Imports nothing and runs nothing, not even the `__getattr__` of a module.
        """
        return find_loaded(self.module, self.qualname)

    def __str__(self) -> str:
        return f"{self.module}.{self.qualname}"


class TaskDefinition:
    """A function that became a task, and what is known about it without a call.

    `serial` numbers the tasks of a process, so that a table can know a task without keeping it alive. `on` is the
    name of the executor that makes its calls, or `None`. `version` is what the code does not show, given by hand.
    """

    def __init__(
        self, func: Function, name: str | None = None, on: str | None = None, version: str = ""
    ) -> None:
        self._is_static = isinstance(func, staticmethod)
        self.func = func = as_task_function(func)
        _take_names(self, func, updated=())  # without its `__dict__`
        self.name: str = name or str(getattr(func, "__name__", type(func).__name__))
        self.on = on
        self.version = version
        self.serial = next(_serials)
        take(func)
        self._accepted: set[tuple[int, tuple[str, ...]]] = set()

    @functools.cached_property
    def is_async(self) -> bool:
        """Whether a call gives a coroutine for sure."""
        return is_coroutine_function(self.func)

    @functools.cached_property
    def signature(self) -> inspect.Signature:
        """The function's own signature; one that can't be read is taken to accept anything."""
        try:
            return own_signature(self.func)
        except (TypeError, ValueError):
            return _ANY_SIGNATURE

    @functools.cached_property
    def injected(self) -> dict[str, str]:
        """The resource for each parameter whose default is `cs.inject(...)`."""
        parameters = parameters_with_defaults(self.func, self.signature)
        return {each.name: each.default.name for each in parameters if isinstance(each.default, Inject)}

    def check_call(self, arity: int, names: Iterable[str]) -> None:
        """Check that the signature takes `arity` positional arguments and these names.

        Raises:
            CallError: If it does not.
        """
        shape = (arity, tuple(names))
        if shape in self._accepted:
            return
        try:
            self.signature.bind(*(None,) * arity, **dict.fromkeys(shape[1]))
        except TypeError as problem:
            raise CallError(self.name, str(self.signature), str(problem)) from None
        if len(self._accepted) < _SHAPES_KEPT:
            self._accepted.add(shape)

    def parameter_at(self, argument: int | str) -> str:
        """Return the name of the parameter that an argument fills; the argument itself where it has none."""
        if isinstance(argument, str):
            return argument
        names = [each.name for each in self.signature.parameters.values() if each.kind in POSITIONAL]
        return names[argument] if argument < len(names) else str(argument)

    @functools.cached_property
    def positional(self) -> tuple[str, ...]:
        """The names of the first parameters, as far as each can be given by position or by name.

        Empty for a callable that is no plain function or has a `__signature__`: it may treat the two differently.
        """
        if type(self.func) is not FunctionType or hasattr(self.func, "__signature__"):
            return ()
        names = []
        for parameter in self.signature.parameters.values():
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                break
            names.append(parameter.name)
        return tuple(names)

    @functools.cached_property
    def has_plain_parameters(self) -> bool:
        """Whether each parameter can be given by position or by name, and there is no `*args` or `**kwargs`."""
        return len(self.positional) == len(self.signature.parameters)

    def describe_slot(self, slot: Slot) -> str:
        """Return a slot as people read it: the parameter, then the indices inside the argument."""
        return self.parameter_at(slot.argument) + "".join(f"[{step}]" for step in slot.steps)

    @property
    def reference(self) -> TaskReference:
        """The module and qualified name under which this task is known; that of `python trip.py` is `trip`."""
        return TaskReference(module_of(self), self.__dict__.get("__qualname__", self.name))

    def __repr__(self) -> str:
        return f"<Task '{self.name}'>"


def _accept_anything(*args: object, **kwargs: object) -> None: ...


_ANY_SIGNATURE = inspect.signature(_accept_anything)
_SHAPES_KEPT = 64
"""How many accepted call shapes a task remembers: calls come in few shapes, and the table must not grow."""
