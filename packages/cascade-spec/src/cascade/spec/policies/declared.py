"""Policies: how a call is to be made. Plain values; the engine gives them their meaning.

A `Policies` belongs to one lazy result and never changes; `@cs.task(...)` holds the one that its calls start with.
"""

from __future__ import annotations

from typing import NamedTuple

from cascade.spec.calls.missing import MISSING, Missing
from cascade.spec.constraint import Constraints
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.retry import RetryPolicy
from cascade.spec.protocols import CachePolicy


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
