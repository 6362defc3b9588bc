"""Tasks: functions whose calls are recorded and not made."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
from collections.abc import Callable, Coroutine, Iterable, Iterator
from types import FunctionType
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar, overload

from cascade.spec.calls.arguments import Slot, find_markers, holds_marker, is_marker
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.signatures import (
    as_task_function,
    is_coroutine_function,
    own_signature,
    parameters_with_defaults,
)
from cascade.spec.errors import (
    CallError,
    MapError,
    MapLengthError,
    PolicyError,
    SpecError,
    TaskReferenceError,
)
from cascade.spec.inputs.workflow import declare
from cascade.spec.lazy_types import LazyResult, MappedLazyResult, ParamLazyResult
from cascade.spec.policies.checks import check_cache, check_timeout
from cascade.spec.policies.declared import NO_POLICIES, Policies
from cascade.spec.policies.mode import Mode, parse_mode
from cascade.spec.policies.retry import RetryPolicy, as_retry
from cascade.spec.protocols import CachePolicy
from cascade.spec.resource import Inject
from cascade.spec.source.references import find_loaded, module_of
from cascade.spec.source.texts import take

R = TypeVar("R")
_serials = itertools.count()


class Task(Generic[R]):
    """A function wrapped by `@cs.task`; calling it runs nothing and returns a `LazyResult`.

    `serial` numbers the tasks of a process, so that a table can know a task without keeping it alive. `on` is the
    name of the executor that makes its calls, or `None`. `version` is what the code does not show, told by hand.
    """

    def __init__(
        self,
        func: Callable[..., Any],
        name: str | None = None,
        policies: Policies = NO_POLICIES,
        on: str | None = None,
        version: str = "",
    ) -> None:
        self._is_static = isinstance(func, staticmethod)
        self.func = func = as_task_function(func)
        functools.update_wrapper(self, func, updated=())  # its own attributes are not those of its task
        self.name: str = name or str(getattr(func, "__name__", type(func).__name__))
        self.policies = policies
        self.on = on
        self.version = version
        self.serial = next(_serials)
        take(func)
        self._accepted: set[tuple[int, tuple[str, ...]]] = set()
        if _has_lazy_defaults(self):
            self.__class__ = TaskWithLazyDefaults  # seen once per task, so that other calls look at nothing

    def __call__(self, /, *args: Any, **kwargs: Any) -> LazyResult[R]:
        lazy: LazyResult[R] = LazyResult()
        lazy.task = self
        lazy.args = args
        lazy.kwargs = kwargs
        return lazy

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Make a task in a class body work as a method: the instance is its first argument."""
        return self if instance is None or self._is_static else PartialTask(self, (instance,), {})

    def map(self, /, *args: Any, max_concurrency: int | None = None, **kwargs: Any) -> MappedLazyResult[R]:
        """Call the task once per item; the values come in order.

        Each argument is an iterable of one value per item, taken once and now, or a lazy result of one.
        `max_concurrency` bounds the items that run at one time.

        Raises:
            MapError: If there is no input, or one is no iterable; strings and bytes count as single values.
            MapLengthError: If the inputs have unequal lengths.
        """
        return _map(self, (), {}, args, kwargs, max_concurrency)

    def partial(self, /, *args: Any, **kwargs: Any) -> PartialTask[R]:
        """Fix some arguments, the same for each call or item; a lazy one is computed once."""
        return PartialTask(self, args, kwargs)

    def take_item(self, lazy: LazyResult[Any], key: object) -> LazyResult[Any]:
        """Return the lazy result of an item of a lazy result of this task, as `lazy[key]` does."""
        return ITEM(lazy, key)

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

    def with_defaults(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with the lazy defaults that it leaves out; there are none here."""
        return args, kwargs

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
        names = [each.name for each in self.signature.parameters.values() if each.kind in _POSITIONAL]
        return names[argument] if argument < len(names) else str(argument)

    @functools.cached_property
    def positional(self) -> tuple[str, ...]:
        """The names of the first parameters that are given by position or by name alike.

        None for one that says of itself what its signature is: it may tell the two apart.
        """
        if type(self.func) is not FunctionType or hasattr(self.func, "__signature__"):
            return ()
        names = []
        for parameter in self.signature.parameters.values():
            if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
                break
            names.append(parameter.name)
        return tuple(names)

    def describe_slot(self, slot: Slot) -> str:
        """Return how a place in a call is written: the parameter, then the way inside the argument."""
        return self.parameter_at(slot.argument) + "".join(f"[{step}]" for step in slot.steps)

    @property
    def reference(self) -> TaskReference:
        """The module and qualified name under which this task is known; that of `python trip.py` is `trip`."""
        return TaskReference(module_of(self), self.__dict__.get("__qualname__", self.name))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by reference: module and qualified name.

        Raises:
            TaskReferenceError: If that is not where the task is found.
        """
        reference = self.reference._replace(module=self.__module__)  # where this very process has it
        if reference.find() is not self:
            raise TaskReferenceError(self.name, str(reference))
        return _import_task, (reference.module, reference.qualname)

    def __repr__(self) -> str:
        return f"<Task '{self.name}'>"


class TaskWithLazyDefaults(Task[R]):
    """A task with lazy results among its defaults: a call that leaves one out has it as an argument."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> LazyResult[R]:
        lazy: LazyResult[R] = LazyResult()
        lazy.task = self
        lazy.args, lazy.kwargs = self.with_defaults(args, kwargs)
        return lazy

    def with_defaults(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with the lazy defaults that it leaves out; their inputs are declared."""
        try:
            given = self.signature.bind_partial(*args, **kwargs).arguments
        except TypeError:
            return args, kwargs  # told with the structure
        known = {*given, *kwargs, *self._wrapped_names[: len(args)]}
        missing = {name: default for name, default in self._lazy_defaults.items() if name not in known}
        for default in missing.values():
            _declare_inside(default)
        positional = [
            each for each in self.signature.parameters.values() if each.kind is each.POSITIONAL_ONLY
        ]
        wanted = [place for place, each in enumerate(positional) if each.name in missing]
        if wanted:
            between = positional[len(args) : wanted[-1] + 1]
            if any(each.default is each.empty for each in between):
                return args, kwargs  # told with the structure
            args = (*args, *(each.default for each in between))
        names = {each.name for each in positional}
        return args, {**kwargs, **{name: each for name, each in missing.items() if name not in names}}

    @functools.cached_property
    def _lazy_defaults(self) -> dict[str, Any]:
        return dict(_lazy_defaults(self))

    @functools.cached_property
    def _wrapped_names(self) -> tuple[str, ...]:
        """The names that positional arguments have in what a wrapper hands them on to."""
        if not any(each.kind is each.VAR_POSITIONAL for each in self.signature.parameters.values()):
            return ()
        return tuple(
            each.name for each in inspect.signature(self.func).parameters.values() if each.kind in _POSITIONAL
        )


def _has_lazy_defaults(task: Task[Any]) -> bool:
    func = task.func
    if type(func) is FunctionType and "__wrapped__" not in func.__dict__:
        defaults = (*(func.__defaults__ or ()), *(func.__kwdefaults__ or {}).values())
        return any(_is_lazy_default(each) for each in defaults)
    return any(True for _ in _lazy_defaults(task))


def _lazy_defaults(task: Task[Any]) -> Iterator[tuple[str, Any]]:
    for parameter in parameters_with_defaults(task.func, task.signature):
        if _is_lazy_default(parameter.default):
            yield parameter.name, parameter.default


def _is_lazy_default(default: object) -> bool:
    return type(default) is not Inject and holds_marker(default)


def _declare_inside(default: object) -> None:
    """Declare the inputs in a default to the workflow that is being collected: they were made before it began."""
    for found in find_markers((default,), {}):
        if isinstance(found.marker, ParamLazyResult):
            declare(found.marker.contract)


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

    def __init__(self, task: Task[R], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs

    def __call__(self, /, *args: Any, **kwargs: Any) -> LazyResult[R]:
        return self.task(*self.args, *args, **self.kwargs, **kwargs)

    def map(self, /, *args: Any, max_concurrency: int | None = None, **kwargs: Any) -> MappedLazyResult[R]:
        """Call the task once per item with the fixed arguments; as `Task.map`."""
        return _map(self.task, self.args, self.kwargs, args, kwargs, max_concurrency)


def _map(
    task: Task[R],
    fixed_args: tuple[Any, ...],
    fixed: dict[str, Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    max_concurrency: int | None,
) -> MappedLazyResult[R]:
    if not args and not kwargs:
        raise MapError(f"task '{task.name}' is mapped over nothing", "give an iterable, as in map(x=items)")
    if max_concurrency is not None and (not isinstance(max_concurrency, int) or max_concurrency < 1):
        raise PolicyError(f"map(max_concurrency={max_concurrency!r})", "give a whole number, 1 or more")
    if fixed and (doubled := fixed.keys() & kwargs.keys()):
        raise MapError(
            f"task '{task.name}' has {sorted(doubled)} both fixed and mapped", "give each argument once"
        )
    for name, value in kwargs.items():
        kwargs[name] = _items(task, name, value)  # the dict was made for this very call
    mapped: tuple[int | str, ...] = (*sorted(kwargs),)
    if args:
        first = len(fixed_args)
        mapped = (*range(first, first + len(args)), *mapped)
        fixed_args += tuple(map(_items, itertools.repeat(task), mapped, args))
    if len(mapped) > 1:
        inputs = {key: fixed_args[key] if isinstance(key, int) else kwargs[key] for key in mapped}
        plain = {key: each.value if type(each) is Quoted else each for key, each in inputs.items()}
        check_lengths(task, {key: each for key, each in plain.items() if isinstance(each, list)})
    named = {**fixed, **kwargs} if fixed else kwargs
    fixed_args, named = task.with_defaults(fixed_args, named)
    return MappedLazyResult(task, fixed_args, named, task.policies, mapped, max_concurrency)


def _items(task: Task[Any], argument: int | str, value: Any) -> object:
    """Return the items as a list of our own; what is only known at run time stays as it is."""
    if type(value) is list:
        return value.copy()
    if type(value) is Quoted:
        return Quoted(as_items(task, argument, value.value))
    return value if is_marker(value) else as_items(task, argument, value)


def as_items(task: Task[Any], argument: int | str, value: Any) -> list[Any]:
    """Return the items of one input of a map.

    Raises:
        MapError: If it is a single value: no iterable, or a string or bytes.
    """
    if isinstance(value, (str, bytes, bytearray)):
        raise MapError(
            f"{_place(task, argument)} is a {type(value).__name__}",
            "give a list; for one value per item use .partial(...)",
        )
    try:
        return list(value)
    except TypeError:
        if hasattr(value, "__iter__"):
            raise
        raise MapError(
            f"{_place(task, argument)} is {type(value).__name__}, not an iterable",
            "for the same value in each item use .partial(...)",
        ) from None


def _place(task: Task[Any], argument: int | str) -> str:
    return f"argument '{task.parameter_at(argument)}' of mapped task '{task.name}'"


def check_lengths(task: Task[Any], inputs: dict[int | str, list[Any]]) -> None:
    """Check that all inputs of a map have the same length.

    Raises:
        MapLengthError: If not; it tells them.
    """
    if len(inputs) < 2:
        return
    lengths = {task.parameter_at(argument): len(items) for argument, items in inputs.items()}
    if len(set(lengths.values())) > 1:
        raise MapLengthError(task.name, lengths)


@overload
def task(func: Callable[..., Coroutine[Any, Any, LazyResult[R]]], /) -> Task[R]: ...
@overload
def task(func: Callable[..., LazyResult[R]], /) -> Task[R]: ...
@overload
def task(func: Callable[..., Coroutine[Any, Any, R | LazyResult[R]]], /) -> Task[R]: ...
@overload
def task(func: Callable[..., R | LazyResult[R]], /) -> Task[R]: ...
@overload
def task(
    *,
    name: str | None = None,
    retry: RetryPolicy | int | None = None,
    timeout: float | None = None,
    cache: CachePolicy | None = None,
    mode: Literal["inline", "thread", "process"] | Mode | None = None,
    on: str | None = None,
    version: str = "",
) -> _TaskDecorator: ...
def task(
    func: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: RetryPolicy | int | None = None,
    timeout: float | None = None,
    cache: CachePolicy | None = None,
    mode: Literal["inline", "thread", "process"] | Mode | None = None,
    on: str | None = None,
    version: str = "",
) -> Any:
    """Make a task of a function, sync or async; the policies are those that each of its calls starts with.

    `retry` is a number of retries or a `RetryPolicy`, `timeout` seconds, `mode` where a plain `def` runs, `on` the
    name of one of the engine's `executors`, which then makes the calls. `version` is part of the task's code version:
    change it by hand where the code does not show a change.
    """
    if name is not None and not (isinstance(name, str) and name):
        raise SpecError(f"@cs.task(name={name!r})", "give a text that is not empty")
    if on is not None and not (isinstance(on, str) and on):
        raise SpecError(f"@cs.task(on={on!r})", "give the name of one of the engine's executors")
    if not isinstance(version, str):
        raise PolicyError(f"@cs.task(version={version!r})", "give a text, such as '2'")
    policies = Policies(
        retry=None if retry is None else as_retry(retry),
        timeout=None if timeout is None else check_timeout(timeout),
        cache=None if cache is None else check_cache(cache),
        mode=None if mode is None else parse_mode(mode),
    )
    decorator = _TaskDecorator(name, NO_POLICIES if policies == NO_POLICIES else policies, on, version)
    return decorator if func is None else decorator(func)


class _TaskDecorator:
    """What `@cs.task(...)` gives: it wraps the function below it."""

    def __init__(self, name: str | None, policies: Policies, on: str | None, version: str) -> None:
        self._name = name
        self._policies = policies
        self._on = on
        self._version = version

    @overload
    def __call__(self, func: Callable[..., Coroutine[Any, Any, LazyResult[R]]]) -> Task[R]: ...
    @overload
    def __call__(self, func: Callable[..., LazyResult[R]]) -> Task[R]: ...
    @overload
    def __call__(self, func: Callable[..., Coroutine[Any, Any, R | LazyResult[R]]]) -> Task[R]: ...
    @overload
    def __call__(self, func: Callable[..., R | LazyResult[R]]) -> Task[R]: ...
    def __call__(self, func: Callable[..., Any]) -> Task[Any]:
        return Task(func, self._name, self._policies, self._on, self._version)


def _take_item(container: Any, key: Any) -> Any:
    return Quoted(container[key])


AnyTask: TypeAlias = Task[Any]
"""A task of which nobody asks what its calls give."""


def own_task(func: Callable[..., Any], name: str, constant: str) -> Task[Any]:
    """Make a task of Cascade's own, which is found under the name of the constant that holds it."""
    task: Task[Any] = Task(func, name)
    vars(task)["__qualname__"] = constant
    return task


ITEM: Task[Any] = own_task(_take_item, "item", "ITEM")
"""The internal task of `lazy[key]`."""


def _accept_anything(*args: Any, **kwargs: Any) -> None: ...


_ANY_SIGNATURE = inspect.signature(_accept_anything)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SHAPES_KEPT = 64
"""Call shapes remembered as accepted per task: calls come in few shapes, and a table must not grow."""
