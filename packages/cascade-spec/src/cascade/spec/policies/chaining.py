"""Chaining: the methods that give a lazy result a policy, such as `with_retry` and `run_if`.

Each returns a new lazy result and leaves the one before as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from cascade.spec.calls.arguments import holds_marker, is_marker
from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.constraint import constraints
from cascade.spec.errors import NotLazyError, PolicyError, SpecError
from cascade.spec.policies.checks import check_cache, check_timeout
from cascade.spec.policies.declared import Policies
from cascade.spec.policies.retry import Exceptions, retry_policy
from cascade.spec.protocols import CachePolicy
from cascade.spec.tasks.definition import TaskDefinition


class TakesPolicies(StandsForValue):
    """What policies are chained to. A class below it says what its policies are and makes the changed one."""

    __slots__ = ()

    if TYPE_CHECKING:

        @property
        def task(self) -> TaskDefinition:
            """What is called."""

        @property
        def policies(self) -> Policies:
            """How the call is to be made."""

        def _with(self, policies: Policies) -> Self:
            """Return an equal lazy result with these policies."""

    def with_retry(  # noqa: PLR0913 - the fields of a `RetryPolicy`, as users write them
        self,
        max_attempts: int = 3,
        delay: float = 0.0,
        backoff: float = 1.0,
        jitter: float = 0.0,
        max_delay: float | None = None,
        on: Exceptions = Exception,
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
        return self._with(self.policies.with_constraints(constraints(amounts)))

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
