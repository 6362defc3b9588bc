"""The amounts of `with_constraints` that a call holds, for an executor whose cluster counts such things too."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

amounts_in_context: ContextVar[Mapping[str, float]] = ContextVar("cascade_amounts", default={})  # noqa: B039 - never changed
"""The amounts that the call of this context holds, by name: `{"gpu": 1}`. They are counted by the engine already."""
