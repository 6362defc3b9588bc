"""Lazy results: what calling a task returns.

A lazy result records a call and never changes, so one may sit in many graphs. It is equal only to itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NoReturn,
    Self,
    SupportsIndex,
    TypeAlias,
    TypeVar,
    cast,
    overload,
)

from cascade.spec.calls.arguments import holds_marker, is_marker, marker
from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.constraint import constraints
from cascade.spec.errors import NotLazyError, PolicyError, SpecError
from cascade.spec.policies.checks import check_cache, check_timeout
from cascade.spec.policies.declared import Policies
from cascade.spec.policies.retry import retry_policy
from cascade.spec.protocols import CachePolicy

if TYPE_CHECKING:
    from cascade.spec.task import Task

R = TypeVar("R")
V = TypeVar("V")
R_co = TypeVar("R_co", covariant=True)


@marker
class LazyResult(StandsForValue, Generic[R_co]):
    """One call that has not been made: the task, its arguments and the policies for the call.

    Each `with_*`, `run_if` and `after` returns a new lazy result and leaves this one as it was.
    """

    # Made once per node of every round, by `Task.__call__`: three stores and nothing else. An `__init__` would cost as
    # much again; policies of its own take another class. Watched by observatory/benchmarks/bench_lazy.py.
    __slots__ = ("__weakref__", "args", "kwargs", "task")

    if TYPE_CHECKING:  # said here, as a task in a class body is taken for a method

        def __init__(self) -> None:
            self.task: Task[Any]
            self.args: tuple[Any, ...]
            self.kwargs: dict[str, Any]

    @property
    def policies(self) -> Policies:
        """How the call is to be made: as its task's calls are, unless something else was asked for."""
        return self.task.policies

    def with_retry(
        self,
        max_attempts: int = 3,
        delay: float = 0.0,
        backoff: float = 1.0,
        jitter: float = 0.0,
        max_delay: float | None = None,
        on: type[Exception] | tuple[type[Exception], ...] = Exception,
    ) -> Self:
        """Call again after a failure, at most `max_attempts` more times.

        The wait before retry k, counted from 1, is `min(max_delay, delay * backoff ** (k - 1))` seconds, spread to
        both sides by the fraction `jitter`. Only the exceptions of `on` are retried.
        """
        retry = retry_policy(max_attempts, delay, backoff, jitter, max_delay, on)
        return self._with(self.policies.with_retry(retry))

    def with_timeout(self, seconds: float) -> Self:
        """Fail an attempt that takes longer than `seconds` with `TaskTimeoutError`."""
        return self._with(self.policies._replace(timeout=check_timeout(seconds)))

    def with_cache(self, policy: CachePolicy) -> Self:
        """Take the value from the engine's cache where `policy` finds it there, and put it there where not."""
        return self._with(self.policies._replace(cache=check_cache(policy)))

    def with_constraints(self, **amounts: object) -> Self:
        """Hold these amounts of the engine's `system_resources` while the call runs; an amount may be lazy.

        Raises:
            PolicyError: If nothing is given, or an amount is no number of 0 or more and no lazy result.
        """
        for name, amount in amounts.items():
            if isinstance(amount, StandsForValue):
                amounts[name] = amount.as_lazy()
            elif is_marker(amount):
                raise PolicyError(
                    f"an amount of {name!r} is {amount!r}", "give a number or a lazy result of one"
                )
        return self._with(self.policies._replace(constraints=constraints(amounts)))

    def run_if(self, condition: StandsForValue, otherwise: object | Missing = MISSING) -> Self:
        """Run only if `condition` gives something true, and what was asked for before is true as well.

        Where it is false the call is skipped; with `otherwise` its dependents then get that value.

        Raises:
            NotLazyError: If the condition is no lazy result.
            SpecError: If `otherwise` holds a lazy result.
        """
        if not isinstance(condition, StandsForValue):
            raise NotLazyError(
                f"run_if of task '{self.task.name}' got {type(condition).__name__}",
                "give a lazy result; for a value known now use a plain `if`",
            )
        if type(otherwise) is Quoted:
            otherwise = otherwise.value
        elif otherwise is not MISSING and holds_marker(otherwise):
            raise SpecError(
                f"`otherwise` of task '{self.task.name}' holds a lazy result",
                "give a value; to choose between two lazy results use cs.Router",
            )
        return self._with(self.policies.with_condition(condition.as_lazy(), otherwise))

    def after(self, *others: StandsForValue) -> Self:
        """Start only after all of `others`, without taking their values.

        Raises:
            NotLazyError: If one of them is no lazy result.
        """
        for other in others:
            if not isinstance(other, StandsForValue):
                raise NotLazyError(
                    f"after of task '{self.task.name}' got {type(other).__name__}", "give lazy results"
                )
        lazies = (other.as_lazy() for other in others)
        return self._with(self.policies._replace(after=(*self.policies.after, *lazies)))

    def as_lazy(self) -> Self:
        """Return this very lazy result; a router gives the one that stands for it."""
        return self

    def _with(self, policies: Policies) -> Self:
        changed: LazyResult[Any] = ConfiguredLazyResult(self.task, self.args, self.kwargs, policies)
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
    def __getitem__(self, key: object, /) -> LazyResult[Any]: ...
    def __getitem__(self, key: object, /) -> LazyResult[Any]:
        """Return the lazy result of an item of the value: `lazy["key"]`, `lazy[0]`; the key may be lazy too."""
        return self.task.take_item(self, key)

    def told(self) -> str:
        """Return what this is called in errors."""
        return f"the lazy result of task '{self.task.name}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of '{self.task.name}'>"


@marker
class ConfiguredLazyResult(LazyResult[R_co]):
    """A lazy result with policies of its own."""

    __slots__ = ("policies",)
    policies: Policies

    def __init__(
        self, task: Task[Any], args: tuple[Any, ...], kwargs: dict[str, Any], policies: Policies
    ) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.policies = policies


@marker
class MappedLazyResult(ConfiguredLazyResult[list[R]], Generic[R]):
    """A task applied to sequences: one call per item, the values in order.

    `mapped` names the arguments, by position or name, that are sequences of one value per item; the other arguments
    are the same for each item. Retry, timeout, cache, constraints and mode apply to each item, the rest to the map.
    """

    __slots__ = ("mapped", "max_concurrency")

    def __init__(
        self,
        task: Task[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        policies: Policies,
        mapped: tuple[int | str, ...],
        max_concurrency: int | None,
    ) -> None:
        self.task = task
        self.args = args
        self.kwargs = kwargs
        self.policies = policies
        self.mapped = mapped
        self.max_concurrency = max_concurrency

    def _with(self, policies: Policies) -> Self:
        return type(self)(self.task, self.args, self.kwargs, policies, self.mapped, self.max_concurrency)


@marker
class ParamLazyResult(ConfiguredLazyResult[R_co]):
    """The lazy result of the internal task that reads an input; its one argument is the contract."""

    __slots__ = ()

    @property
    def contract(self) -> Any:
        """The `ParamContract` or `EnvContract` that this reads."""
        return self.args[0]

    def told(self) -> str:
        """Return what this is called in errors."""
        return f"the lazy result of the input '{self.contract.name}'"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of '{self.contract.name}'>"

    def _with(self, policies: Policies) -> Self:
        return type(self)(self.task, self.args, self.kwargs, policies)


@marker
class SequenceLazyResult(ConfiguredLazyResult[R_co]):
    """Lazy results in an order: no call of its own, it stands for its last member and orders the others before it."""

    __slots__ = ("members",)

    def __init__(self, members: Sequence[LazyResult[Any]]) -> None:
        last = members[-1]
        super().__init__(last.task, last.args, last.kwargs, last.policies)
        self.members = tuple(members)

    def _with(self, policies: Policies) -> NoReturn:
        raise SpecError(
            "a sequence is not a call, so it has no policies",
            "give them to a member; a condition on the first one decides for all that follow it",
        )


Lazy: TypeAlias = LazyResult[Any]
"""A lazy result of which nobody asks what its value is."""
