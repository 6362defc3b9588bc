"""Retries: how often a call is made again after a failure, and how long it waits before."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

from cascade.spec.errors import PolicyError
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.policies.checks import check_seconds, is_number

Exceptions: TypeAlias = type[Exception] | tuple[type[Exception], ...]
"""What a retry is for: a class of exceptions, or several."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Calls again after a failure: at most `1 + max_attempts` calls in all.

    `delay` and `max_delay` are seconds. Each wait is `backoff` times the one before it. `jitter` is the fraction, 0 to
    1, by which a wait is spread to both sides. Only the exceptions of `on` are retried.
    """

    max_attempts: int = 3
    delay: float = 0.0
    backoff: float = 1.0
    jitter: float = 0.0
    max_delay: float | None = None
    on: Exceptions = Exception

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
        if not is_number(self.backoff) or not 0 < self.backoff < math.inf:
            raise PolicyError(
                f"with_retry(backoff={self.backoff!r})", "give a factor above 0; 1.0 keeps the delay"
            )
        if not is_number(self.jitter) or not 0 <= self.jitter <= 1:
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


def kinds_of(retry: RetryPolicy) -> tuple[type[Exception], ...]:
    """Return the classes of exceptions that a policy retries on."""
    return retry.on if isinstance(retry.on, tuple) else (retry.on,)


def retry_policy(*fields: *tuple[int, float, float, float, float | None, Exceptions]) -> RetryPolicy:
    """Return a `RetryPolicy` with these fields, made and checked once for all calls that are alike.

    Raises:
        PolicyError: If they make no sense.
    """
    try:
        return _known_retry_policy(*fields)
    except TypeError:  # not hashable, or refused: the class itself says why
        return RetryPolicy(*fields)


_known_retry_policy: Callable[..., RetryPolicy] = lru_cache(maxsize=256, typed=True)(RetryPolicy)


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
