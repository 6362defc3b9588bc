"""JSON schema: what writer and reader have to agree on.

Structure paths are one table in which each row continues an earlier one, so that a deep chain takes one row per node.
"""

from __future__ import annotations

from dataclasses import fields

from cascade.spec.policies.pictures import NodePolicies

VERSION = 2
"""The version of the schema; `from_json` reads no other."""

_ALWAYS_WRITTEN = 6
"""The first so many fields of `NodePolicies` are in each text of this version of the schema."""

LATER_POLICIES = {field.name: field.default for field in fields(NodePolicies)[_ALWAYS_WRITTEN:]}
"""The defaults of the fields that came later. They are written only where they are given."""
