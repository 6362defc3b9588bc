"""Tasks and lazy results: calling a task gives a lazy result, which names its task.

The two refer to each other, so they share a module. A lazy result records a call and never changes, so one may sit in
many graphs. It is equal only to itself.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from cascade.spec.calls.arguments import Arguments, Container, Keywords, find_markers, marker
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.signatures import Function
from cascade.spec.errors import MapError, PolicyError, SpecError, TaskReferenceError
from cascade.spec.inputs.workflow import declare
from cascade.spec.policies.chaining import TakesPolicies
from cascade.spec.policies.declared import NO_POLICIES, Policies
from cascade.spec.tasks.definition import TaskDefinition, TaskReference
from cascade.spec.tasks.lazy_defaults import LazyDefaults, has_lazy_defaults, lazy_defaults_of
from cascade.spec.tasks.map_inputs import check_inputs, take_items

R = TypeVar("R")
V = TypeVar("V")
R_co = TypeVar("R_co", covariant=True)


@marker
class LazyResult(TakesPolicies, Generic[R_co]):
    """One call that has not been made: the task, its arguments and the policies for the call.

    Each `with_*`, `run_if` and `after` returns a new lazy result and leaves this one as it was.
    """

    # Made once per node of every round, by `Task.__call__`: three stores and nothing else. An `__init__` would cost as
    # much again; policies of its own take another class. Watched by observatory/benchmarks/bench_lazy.py.
    __slots__ = ("__weakref__", "args", "kwargs", "task")

    if TYPE_CHECKING:  # said here, as a task in a class body is taken for a method

        def __init__(self) -> None:
            self.task: AnyTask
            self.args: Arguments
            self.kwargs: Keywords

    @property
    def policies(self) -> Policies:
        """How the call is made: those of its task, unless others were chained to it."""
        return self.task.policies

    def as_lazy(self) -> Self:
        """Return this lazy result itself; `Router.as_lazy` returns the one that stands for the router."""
        return self

    def _with(self, policies: Policies) -> Self:
        changed: Lazy = ConfiguredLazyResult(self.task, self.args, self.kwargs, policies)
        return cast("Self", changed)  # subclasses have a `_with` of their own

    @overload
    def __getitem__(self: LazyResult[tuple[V, *tuple[Any, ...]]], key: Literal[0], /) -> LazyResult[V]: ...
    @overload
    def __getitem__(
        self: LazyResult[tuple[Any, V, *tuple[Any, ...]]], key: Literal[1], /
    ) -> LazyResult[V]: ...
    @overload
    def __getitem__(self: LazyResult[Mapping[Any, V]], key: object, /) -> LazyResult[V]: ...
    @overload
    def __getitem__(self: LazyResult[Sequence[V]], key: SupportsIndex, /) -> LazyResult[V]: ...
    @overload
    def __getitem__(self, key: object, /) -> Lazy: ...
    def __getitem__(self, key: object, /) -> Lazy:
        """Return the lazy result of an item of the value: `lazy["key"]`, `lazy[0]`; the key may be lazy too."""
        return ITEM(self, key)

    def name_in_errors(self) -> str:
        """Return how errors name this."""
        return f"the lazy result of task '{self.task.name}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of '{self.task.name}'>"


@marker
class ConfiguredLazyResult(LazyResult[R_co]):
    """A lazy result with policies of its own."""

    __slots__ = ("policies",)
    policies: Policies

    def __init__(self, task: AnyTask, args: Arguments, kwargs: Keywords, policies: Policies) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.policies = policies


class MappedArguments(NamedTuple):
    """Which arguments of a call are sequences of one value per item, and how many items may run at once."""

    arguments: tuple[int | str, ...]
    max_concurrency: int | None = None


@marker
class MappedLazyResult(ConfiguredLazyResult[list[R]], Generic[R]):
    """A task applied to sequences: one call per item, the values in order.

    `mapped` names the arguments, by position or name, that are sequences of one value per item; the other arguments
    are the same for each item. Retry, timeout, cache, constraints and mode apply to each item, the rest to the map.
    """

    __slots__ = ("mapped", "max_concurrency")

    def __init__(
        self,
        task: AnyTask,
        args: Arguments,
        kwargs: Keywords,
        policies: Policies,
        mapping: MappedArguments,
    ) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.policies = policies
        self.mapped, self.max_concurrency = mapping

    def _with(self, policies: Policies) -> Self:
        mapping = MappedArguments(self.mapped, self.max_concurrency)
        return type(self)(self.task, self.args, self.kwargs, policies, mapping)


@marker
class ParamLazyResult(ConfiguredLazyResult[R_co]):
    """The lazy result of the internal task that reads an input; its one argument is the contract."""

    __slots__ = ()

    @property
    def contract(self) -> Any:
        """The `ParamContract` or `EnvContract` that this reads."""
        return self.args[0]

    def name_in_errors(self) -> str:
        """Return how errors name this."""
        return f"the lazy result of the input '{self.contract.name}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of '{self.contract.name}'>"

    def _with(self, policies: Policies) -> Self:
        return type(self)(self.task, self.args, self.kwargs, policies)


@marker
class SequenceLazyResult(ConfiguredLazyResult[R_co]):
    """Lazy results in an order. It is no call of its own: it stands for its last member, after the others."""

    __slots__ = ("members",)

    def __init__(self, members: Sequence[Lazy]) -> None:
        last = members[-1]
        super().__init__(last.task, last.args, last.kwargs, last.policies)
        self.members = tuple(members)

    def _with(self, policies: Policies) -> NoReturn:
        raise SpecError(
            "a sequence is not a call, so it has no policies",
            "give them to a member; a condition on the first one decides for all that follow it",
        )


SINGLE_CALLS = (LazyResult, ConfiguredLazyResult)
"""The classes of a single call; they differ in where the policies are kept."""


def kind_of(lazy: LazyResult[Any]) -> type:
    """Return the class of a lazy result; `LazyResult` for one that differs in its policies only."""
    return LazyResult if type(lazy) is ConfiguredLazyResult else type(lazy)


LAZY_CLASSES = frozenset({*SINGLE_CALLS, MappedLazyResult, ParamLazyResult, SequenceLazyResult})
"""The classes of all lazy results."""

Lazy: TypeAlias = LazyResult[Any]
"""A lazy result of any value."""


class Task(TaskDefinition, Generic[R]):
    """A function wrapped by `@cs.task`; calling it runs nothing and returns a `LazyResult`.

    `policies` are those that each of its calls starts with. `on` is the name of the executor that makes its calls, or
    `None`. `version` is what the code does not show, given by hand. `serial` numbers the tasks of a process.
    """

    def __init__(
        self,
        func: Function,
        name: str | None = None,
        policies: Policies = NO_POLICIES,
        on: str | None = None,
        version: str = "",
    ) -> None:
        super().__init__(func, name, on, version)
        self.policies = policies
        if has_lazy_defaults(self):
            self.__class__ = TaskWithLazyDefaults  # seen once per task, so that other calls look at nothing

    def __call__(self, /, *args: object, **kwargs: object) -> LazyResult[R]:
        lazy: LazyResult[R] = LazyResult()
        lazy.task = self
        lazy.args = args
        lazy.kwargs = kwargs
        return lazy

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Make a task in a class body work as a method: the instance is its first argument."""
        return self if instance is None or self._is_static else PartialTask(self, (instance,), {})

    def map(
        self, /, *args: object, max_concurrency: int | None = None, **kwargs: object
    ) -> MappedLazyResult[R]:
        """Call the task once per item; the values come in order.

        Each argument is an iterable of one value per item, taken once and now, or a lazy result of one.
        `max_concurrency` bounds the items that run at one time.

        Raises:
            MapError: If there is no input, or one is no iterable; strings and bytes count as single values.
            MapLengthError: If the inputs have unequal lengths.
        """
        return _map(self, _NOTHING_FIXED, (args, kwargs), max_concurrency)

    def partial(self, /, *args: object, **kwargs: object) -> PartialTask[R]:
        """Return the task with some arguments fixed for all calls or items; a lazy one is computed once."""
        return PartialTask(self, args, kwargs)

    def with_defaults(self, args: Arguments, kwargs: Keywords) -> tuple[Arguments, Keywords]:
        """Return the arguments of a call with the lazy defaults that it leaves out; there are none here."""
        return args, kwargs

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by reference: module and qualified name.

        Raises:
            TaskReferenceError: If that is not where the task is found.
        """
        reference = self.reference._replace(module=self.__module__)  # where this very process has it
        if reference.find() is not self:
            raise TaskReferenceError(self.name, str(reference))
        return _import_task, (reference.module, reference.qualname)


AnyTask: TypeAlias = Task[Any]
"""A task whose calls give any value."""


class TaskWithLazyDefaults(Task[R]):
    """A task with lazy results among its defaults: a call that leaves one out has it as an argument."""

    def __call__(self, /, *args: object, **kwargs: object) -> LazyResult[R]:
        lazy: LazyResult[R] = LazyResult()
        lazy.task = self
        lazy.args, lazy.kwargs = self.with_defaults(args, kwargs)
        return lazy

    def with_defaults(self, args: Arguments, kwargs: Keywords) -> tuple[Arguments, Keywords]:
        """Return the arguments of a call with the lazy defaults that it leaves out; their inputs are declared."""
        missing = self._lazy_defaults.left_out(args, kwargs)
        if not missing:
            return args, kwargs
        for default in missing.values():
            _declare_inside(default)
        return self._lazy_defaults.added(args, kwargs, missing)

    @functools.cached_property
    def _lazy_defaults(self) -> LazyDefaults:
        return lazy_defaults_of(self)


def _declare_inside(default: object) -> None:
    """Declare the inputs in a default to the workflow that is being collected: they were made before it began."""
    for found in find_markers((default,), {}):
        if isinstance(found.marker, ParamLazyResult):
            declare(found.marker.contract)


def _import_task(module: str, qualname: str) -> object:
    importlib.import_module(module)
    reference = TaskReference(module, qualname)
    found = reference.find()
    if not isinstance(found, Task):
        raise TaskReferenceError(qualname, str(reference))
    return found


class PartialTask(Generic[R]):
    """A task with some arguments fixed: `task.partial(cfg=c).map(x=items)`."""

    __slots__ = ("args", "kwargs", "task")

    def __init__(self, task: Task[R], args: Arguments, kwargs: Keywords) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs

    def __call__(self, /, *args: object, **kwargs: object) -> LazyResult[R]:
        return self.task(*self.args, *args, **self.kwargs, **kwargs)

    def map(
        self, /, *args: object, max_concurrency: int | None = None, **kwargs: object
    ) -> MappedLazyResult[R]:
        """Call the task once per item with the fixed arguments; as `Task.map`."""
        return _map(self.task, (self.args, self.kwargs), (args, kwargs), max_concurrency)


def _map(
    task: Task[R],
    fixed: tuple[Arguments, Keywords],
    given: tuple[Arguments, Keywords],
    max_concurrency: int | None,
) -> MappedLazyResult[R]:
    # Plain tuples: loops make maps, and an object for the fixed arguments would cost a tenth of one.
    positional, named = fixed
    args, kwargs = given
    if not args and not kwargs:
        raise MapError(f"task '{task.name}' is mapped over nothing", "give an iterable, as in map(x=items)")
    if max_concurrency is not None and (not isinstance(max_concurrency, int) or max_concurrency < 1):
        raise PolicyError(f"map(max_concurrency={max_concurrency!r})", "give a whole number, 1 or more")
    if named and (doubled := named.keys() & kwargs.keys()):
        raise MapError(
            f"task '{task.name}' has {sorted(doubled)} both fixed and mapped", "give each argument once"
        )
    for name, value in kwargs.items():
        kwargs[name] = take_items(task, name, value)  # the dict was made for this very call
    mapped: tuple[int | str, ...] = (*sorted(kwargs),)
    if args:
        first = len(positional)
        mapped = (*range(first, first + len(args)), *mapped)
        positional += tuple(map(take_items, repeat(task), mapped, args))
    if len(mapped) > 1:
        check_inputs(task, {key: positional[key] if isinstance(key, int) else kwargs[key] for key in mapped})
    positional, named = task.with_defaults(positional, {**named, **kwargs} if named else kwargs)
    mapping = _new_tuple(MappedArguments, (mapped, max_concurrency))
    return MappedLazyResult(task, positional, named, task.policies, mapping)


_new_tuple = tuple.__new__  # half the time of calling the named tuple
_NOTHING_FIXED: tuple[Arguments, Keywords] = ((), {})


def _take_item(container: Container, key: object) -> Quoted:
    return Quoted(container[key])


def own_task(func: Function, name: str, constant: str) -> AnyTask:
    """Make a task of Cascade's own, which is found under the name of the constant that holds it."""
    task: AnyTask = Task(func, name)
    vars(task)["__qualname__"] = constant
    return task


ITEM = own_task(_take_item, "item", "ITEM")
"""The internal task of `lazy[key]`."""
