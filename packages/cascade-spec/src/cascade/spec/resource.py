"""Resources: what a run or a worker opens, gives to its tasks and closes again.

A resource is a generator function with one `yield`, sync or async. A task asks for it by name with `inject`.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from enum import StrEnum
from typing import Any, TypeAlias, overload

from cascade.spec.calls.arguments import holds_marker
from cascade.spec.calls.injection import Inject as Inject
from cascade.spec.errors import ResourceReferenceError, SpecError
from cascade.spec.inputs.words import parse_word
from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.lazy_types import ParamLazyResult
from cascade.spec.source.references import find_loaded

ResourceFunction: TypeAlias = Callable[..., Iterator[object] | AsyncIterator[object]]


class Scope(StrEnum):
    """How long one instance lives: for the whole run, or for one attempt of one task."""

    RUN = "run"
    TASK = "task"


class Where(StrEnum):
    """In which process a resource is opened: in that of the run, or in each one that makes calls which take it."""

    DRIVER = "driver"
    WORKER = "worker"


@dataclass(frozen=True, eq=False)
class Resource:
    """A generator function that provides a resource, and how it is used.

    `requires` has the name of the resource for each parameter that is injected. `inputs` has the contract for each
    parameter whose default is a `Param`, an `Env` or a `Secret`. `where` says in which process it is opened.

    What calls do with an `atomic` resource counts as done only after its release without an error.
    """

    func: ResourceFunction
    name: str
    scope: Scope
    requires: dict[str, str] = field(repr=False)
    atomic: bool = False
    inputs: dict[str, Any] = field(default_factory=dict, repr=False)
    where: Where = Where.DRIVER

    @property
    def reference(self) -> tuple[str, str]:
        """The module and the qualified name that the resource is found under."""
        return self.func.__module__, self.func.__qualname__

    @property
    def is_found(self) -> bool:
        """Whether that is where it is found, among the modules already imported."""
        found = find_loaded(*self.reference)
        return isinstance(found, Resource) and found.func is self.func  # it may have got another name

    def check_reference(self) -> None:
        """Check that another process can find the resource by its module and name.

        Raises:
            ResourceReferenceError: If not.
        """
        if not self.is_found:
            raise ResourceReferenceError(self.name, ".".join(self.reference))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by reference, as tasks do.

        Raises:
            ResourceReferenceError: If that is not where the resource is found.
        """
        self.check_reference()
        return _import_resource, self.reference

    @property
    def is_async(self) -> bool:
        """Whether the provider is an async generator."""
        return inspect.isasyncgenfunction(inspect.unwrap(self.func))


@overload
def resource(func: ResourceFunction, /) -> Resource: ...
@overload
def resource(
    *,
    name: str | None = None,
    scope: str | Scope = Scope.RUN,
    atomic: bool = False,
    where: str | Where = Where.DRIVER,
) -> Callable[[ResourceFunction], Resource]: ...
def resource(
    func: ResourceFunction | None = None,
    /,
    *,
    name: str | None = None,
    scope: str | Scope = Scope.RUN,
    atomic: bool = False,
    where: str | Where = Where.DRIVER,
) -> Resource | Callable[[ResourceFunction], Resource]:
    """Make a resource of a generator function; its name is the function's unless given.

    With `atomic=True`, what calls do with the resource counts as done only after its release without an error. Use this
    where a failure undoes what was done, as in a database transaction. A resumed run makes such calls again.

    With `where="worker"` each process that makes calls opens one of its own when it is first used there, a model or a
    connection say. All calls in that process share it, and it is closed when the process ends. Where the run itself
    makes the calls, it lives as long as the engine. Only such a resource can be used in other processes.

    A parameter whose default is `cs.inject(...)` gets that resource, which is then opened first and closed last. One
    whose default is a `Param`, an `Env` or a `Secret` gets the value of that input.

    Raises:
        SpecError: If it is no generator function, has a parameter that nothing fills or with another lazy result as
            its default, a word is unknown, `atomic` is no truth value, or settings don't go together.
    """
    if not isinstance(atomic, bool):
        raise SpecError(f"@cs.resource(atomic={atomic!r})", "give True or False")
    lifetime = parse_word(Scope, "resource scope", scope, SpecError)
    place = parse_word(Where, "place of a resource, where=", where, SpecError)
    if place is Where.WORKER and lifetime is Scope.TASK:
        raise SpecError(
            '@cs.resource(where="worker", scope="task")',
            "leave out one of them: a resource of a worker is shared by all calls there",
        )
    if place is Where.WORKER and atomic:
        raise SpecError(
            '@cs.resource(where="worker", atomic=True)',
            "leave out one of them: a resource of a worker outlives the run, so nothing of the run would ever be done",
        )

    def wrap(func: ResourceFunction) -> Resource:
        plain = inspect.unwrap(func)
        if not (inspect.isgeneratorfunction(plain) or inspect.isasyncgenfunction(plain)):
            raise SpecError(
                f"@cs.resource on {func!r}, which is not a generator function", "yield the resource once"
            )
        requires, inputs = _filled_parameters(func)
        return Resource(func, name or func.__name__, lifetime, requires, atomic, inputs, place)

    return wrap if func is None else wrap(func)


def _import_resource(module: str, qualname: str) -> Resource:
    importlib.import_module(module)
    found = find_loaded(module, qualname)
    if not isinstance(found, Resource):
        raise ResourceReferenceError(qualname, f"{module}.{qualname}")
    return found


def inject(wanted: str | Resource) -> Any:
    """Return what stands for a resource, by its name or by the resource itself.

    Typed `Any`, so that it can be the default of a parameter of any type.
    """
    if isinstance(wanted, Resource):
        return Inject(wanted.name)
    if not isinstance(wanted, str):
        raise SpecError(f"cs.inject({wanted!r})", "give the name of a resource, or the resource")
    return Inject(wanted)


def _filled_parameters(func: ResourceFunction) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the resource for each parameter that is injected, and the contract for each that is an input."""
    requires: dict[str, str] = {}
    inputs: dict[str, Any] = {}
    for parameter in inspect.signature(func).parameters.values():
        what = f"resource '{func.__name__}' has a parameter '{parameter.name}'"
        default = parameter.default
        if holds_marker(default) and parameter.kind is parameter.POSITIONAL_ONLY:
            raise SpecError(f"{what} that is filled and positional-only", "leave out the `/`")
        if isinstance(default, Inject):
            requires[parameter.name] = default.name
        elif isinstance(default, ParamLazyResult):
            inputs[parameter.name] = default.contract
        elif holds_marker(default):
            raise SpecError(
                f"{what} whose default is {default!r}",
                "give cs.Param, cs.Env, cs.Secret or cs.inject(...); no task has run when a resource is opened",
            )
        elif default is parameter.empty and parameter.kind not in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise SpecError(
                f"{what} that nothing fills", "give it a default, or cs.inject(...) of another resource"
            )
    return requires, inputs
