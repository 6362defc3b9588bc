"""Policies: how a call is to be made. Plain values; the engine gives them their meaning.

A `Policies` belongs to one lazy result and never changes; `@cs.task(...)` holds the one that its calls start with.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.constraint import Constraints
from cascade.spec.errors import PolicyError
from cascade.spec.inputs.words import parse_word
from cascade.spec.protocols import CachePolicy


class Mode(StrEnum):
    """Where a plain `def` runs: in the loop's thread, in a thread of its own, or in another process."""

    INLINE = "inline"
    THREAD = "thread"
    PROCESS = "process"


def parse_mode(mode: str | Mode) -> Mode:
    """Return the `Mode` of that name.

    Raises:
        PolicyError: If there is none; it lists them.
    """
    return parse_word(Mode, "mode", mode)


def as_retry(retry: object) -> RetryPolicy:
    """Return the policy that `retry=` of a task means: a number of retries, or the policy itself.

    Raises:
        PolicyError: If it is neither.
    """
    if isinstance(retry, RetryPolicy):
        return retry
    if not isinstance(retry, int):
        raise PolicyError(
            f"@cs.task(retry={retry!r})",
            "give the number of retries, or a policy: retry=cs.RetryPolicy(3, delay=1.0)",
        )
    return RetryPolicy(retry)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Calls again after a failure: at most `1 + max_attempts` calls in all.

    `delay` and `max_delay` are seconds; `jitter` is the fraction, 0 to 1, by which a wait is spread to both sides.
    """

    max_attempts: int = 3
    delay: float = 0.0
    backoff: float = 1.0
    jitter: float = 0.0
    max_delay: float | None = None
    on: type[Exception] | tuple[type[Exception], ...] = Exception

    def __post_init__(self) -> None:
        if (
            isinstance(self.max_attempts, bool)
            or not isinstance(self.max_attempts, int)
            or self.max_attempts < 0
        ):
            raise PolicyError(
                f"with_retry(max_attempts={self.max_attempts!r})", "give a whole number, 0 or more"
            )
        check_seconds("with_retry(delay=...)", self.delay)
        if self.max_delay is not None:
            check_seconds("with_retry(max_delay=...)", self.max_delay)
        if not _is_number(self.backoff) or not 0 < self.backoff < math.inf:
            raise PolicyError(
                f"with_retry(backoff={self.backoff!r})", "give a factor above 0; 1.0 keeps the delay"
            )
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise PolicyError(f"with_retry(jitter={self.jitter!r})", "give a fraction from 0 to 1")
        kinds = self.on if isinstance(self.on, tuple) else (self.on,)
        if not all(isinstance(kind, type) and issubclass(kind, Exception) for kind in kinds):
            raise PolicyError(
                f"with_retry(on={self.on!r})", "give a class of exceptions below Exception, or a tuple"
            )

    def wait_before(self, retry: int, random: Callable[[], float]) -> float:
        """Return the seconds to wait before retry number `retry`, counted from 1.

        `random` gives a number from 0 to 1, as `random.random` does.
        """
        if not self.delay:
            return 0.0
        try:
            wait = self.delay * float(self.backoff) ** (retry - 1)
        except OverflowError:
            wait = math.inf
        if self.max_delay is not None:
            wait = min(self.max_delay, wait)
        return wait * (1 + self.jitter * (2 * random() - 1)) if self.jitter else wait


def retry_policy(*settings: Any) -> RetryPolicy:
    """Return a `RetryPolicy` with these fields, made and checked once for all calls that are alike.

    Raises:
        PolicyError: If they make no sense.
    """
    try:
        return _known_retry_policy(*settings)
    except TypeError:  # not hashable, or refused: told by the class itself
        return RetryPolicy(*settings)


_known_retry_policy = lru_cache(maxsize=256, typed=True)(RetryPolicy)


class Policies(NamedTuple):
    """All policies of one lazy result. `conditions` and `after` hold lazy results."""

    # A named tuple: three times as fast to change as a frozen dataclass, and chains of policies change it often. What
    # loops change in every round has a method that knows the order of the fields; `_replace` costs five times as much.

    retry: RetryPolicy | None = None
    timeout: float | None = None
    cache: CachePolicy | None = None
    mode: Mode | None = None
    constraints: Constraints | None = None
    conditions: tuple[object, ...] = ()
    otherwise: object | Missing = MISSING
    after: tuple[object, ...] = ()

    def with_retry(self, retry: RetryPolicy) -> Policies:
        """Return these policies with another retry policy."""
        return _new(Policies, (retry, *self[1:]))

    def with_condition(self, condition: object, otherwise: object | Missing) -> Policies:
        """Return these policies with one more condition; `otherwise` replaces the one before unless it is missing."""
        retry, timeout, cache, mode, amounts, conditions, before, after = self
        kept = before if otherwise is MISSING else otherwise
        return _new(Policies, (retry, timeout, cache, mode, amounts, (*conditions, condition), kept, after))


_new = tuple.__new__


NO_POLICIES = Policies()


def check_seconds(what: str, seconds: float) -> float:
    """Return `seconds` if it is a time span: a number, 0 or more.

    Raises:
        PolicyError: If it is not; `what` says where it was written.
    """
    if not _is_number(seconds) or not seconds >= 0:
        raise PolicyError(f"{what} is {seconds!r}", "give seconds as a number, 0 or more")
    return seconds


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_cache(policy: CachePolicy) -> CachePolicy:
    """Return `policy` if it is a cache policy.

    Raises:
        PolicyError: If it is not: among others where a policy's class is given in place of a policy.
    """
    if isinstance(policy, type) or not all(hasattr(policy, name) for name in ("key", "known", "ttl")):
        raise PolicyError(f"with_cache({policy!r})", "give a cache policy, as in with_cache(cs.ByInputs())")
    return policy


def check_timeout(seconds: float) -> float:
    """Return `seconds` if it can be a timeout: a number above 0.

    Raises:
        PolicyError: If it is not.
    """
    if not check_seconds("with_timeout(...)", seconds) > 0:
        raise PolicyError("with_timeout(0)", "give more than 0 seconds")
    return seconds
