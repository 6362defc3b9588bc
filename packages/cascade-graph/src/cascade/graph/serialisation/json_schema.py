"""JSON schema: what writer and reader have to agree on.

Structure paths are one table in which each row continues an earlier one, so that a deep chain takes one row per node.
"""

from __future__ import annotations

from dataclasses import fields

from cascade.spec.policies.declared import NodePolicies

VERSION = 2
"""The version of the schema; `from_json` reads no other."""

LATER_POLICIES = {field.name: field.default for field in fields(NodePolicies)[6:]}
"""The defaults of those policies that came after the first release: they are written only where they are given."""
