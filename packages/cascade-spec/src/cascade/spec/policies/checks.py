"""Checks of what policies are given: numbers, time spans, cache policies. Each returns what it was given."""

from __future__ import annotations

from cascade.spec.calls.missing import MISSING
from cascade.spec.errors import PolicyError
from cascade.spec.protocols import CachePolicy
from cascade.spec.source.references import class_attribute

_OF_A_CACHE_POLICY = ("key", "known", "ttl")


def check_seconds(what: str, seconds: float) -> float:
    """Return `seconds` if it is a time span: a number, 0 or more.

    Raises:
        PolicyError: If it is not; `what` says where it was written.
    """
    if not is_number(seconds) or not seconds >= 0:
        raise PolicyError(f"{what} is {seconds!r}", "give seconds as a number, 0 or more")
    return seconds


def is_number(value: object) -> bool:
    """Return True for an `int` or a `float`; `True` and `False` are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_cache(policy: CachePolicy) -> CachePolicy:
    """Return `policy` if it is a cache policy.

    Raises:
        PolicyError: If it is not: among others where a policy's class is given in place of a policy.
    """
    if isinstance(policy, type) or not all(hasattr(policy, name) for name in _OF_A_CACHE_POLICY):
        raise PolicyError(f"with_cache({policy!r})", "give a cache policy, as in with_cache(cs.ByInputs())")
    return policy


def is_cache_policy(value: object) -> bool:
    """Return True if a value has what the engine asks of a cache policy. The value itself is not asked."""
    return all(class_attribute(type(value), name) is not MISSING for name in _OF_A_CACHE_POLICY)


def check_timeout(seconds: float) -> float:
    """Return `seconds` if it can be a timeout: a number above 0.

    Raises:
        PolicyError: If it is not.
    """
    if not check_seconds("with_timeout(...)", seconds) > 0:
        raise PolicyError("with_timeout(0)", "give more than 0 seconds")
    return seconds
