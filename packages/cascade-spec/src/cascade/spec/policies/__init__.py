"""Policies: what is chained to a lazy result, such as retries, timeouts and caching."""

from cascade.spec.policies.declared import Policies
from cascade.spec.policies.mode import Mode
from cascade.spec.policies.retry import RetryPolicy

__all__ = ["Mode", "Policies", "RetryPolicy"]
