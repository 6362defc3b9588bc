"""Node policies: the policies of a node as plain data, for drawings and JSON.

What links nodes to each other is no part of them: conditions, order and lazy amounts are edges.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from cascade.spec.policies.declared import NO_POLICIES, POLICIES, Policies
from cascade.spec.policies.pictures import NodePolicies

NO_NODE_POLICIES = NodePolicies()

_SHOWN = frozenset(field.name for field in fields(NodePolicies))


def node_policies(policies: Policies, max_concurrency: int | None = None) -> NodePolicies:
    """Return the policies of a lazy result as plain data; `max_concurrency` is that of a map."""
    if policies is NO_POLICIES and max_concurrency is None:
        return NO_NODE_POLICIES
    pairs = zip(POLICIES, policies, strict=True)
    shown: dict[str, Any] = {row.name: row.form.pictured(value) for row, value in pairs if row.name in _SHOWN}
    return NodePolicies(**shown, max_concurrency=max_concurrency)
