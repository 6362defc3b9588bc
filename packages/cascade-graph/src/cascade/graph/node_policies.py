"""The policies of a node, as a picture shows them: plain names and numbers, no function and no value.

What links nodes to each other is no part of them: conditions, order and lazy amounts are edges.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from cascade.spec.calls.missing import MISSING
from cascade.spec.policies.declared import NO_POLICIES, Policies
from cascade.spec.policies.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class NodeRetry:
    """A retry policy: its numbers, as in `with_retry`, and the names of the exceptions that it retries on.

    `delay` is `None` where the wait has no end.
    """

    max_attempts: int
    delay: float | None
    backoff: float
    jitter: float
    max_delay: float | None
    on: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NodePolicies:
    """What a node's call is made under.

    `timeout` is seconds, `cache` the name of the cache policy's class, `constraints` the names of the amounts that the
    call needs, `otherwise` whether a value stands in for the call where a condition is false, `max_concurrency` the
    bound of a map.
    """

    retry: NodeRetry | None = None
    timeout: float | None = None
    cache: str | None = None
    constraints: tuple[str, ...] = ()
    otherwise: bool = False
    max_concurrency: int | None = None


NO_NODE_POLICIES = NodePolicies()


def node_policies(policies: Policies, max_concurrency: int | None = None) -> NodePolicies:
    """Return the picture of a lazy result's policies; `max_concurrency` is that of a map."""
    if policies is NO_POLICIES and max_concurrency is None:
        return NO_NODE_POLICIES
    return NodePolicies(
        None if policies.retry is None else _retry(policies.retry),
        _finite(policies.timeout),
        None if policies.cache is None else type(policies.cache).__name__,
        () if policies.constraints is None else tuple(name for name, _ in policies.constraints.amounts),
        policies.otherwise is not MISSING,
        max_concurrency,
    )


def _retry(retry: RetryPolicy) -> NodeRetry:
    kinds = retry.on if isinstance(retry.on, tuple) else (retry.on,)
    return NodeRetry(
        retry.max_attempts,
        _finite(retry.delay),
        retry.backoff,
        retry.jitter,
        _finite(retry.max_delay),
        tuple(kind.__name__ for kind in kinds),
    )


def _finite(seconds: float | None) -> float | None:
    """Return a time span, `None` for one without an end: JSON has no infinity."""
    return None if seconds is None or math.isinf(seconds) else seconds
