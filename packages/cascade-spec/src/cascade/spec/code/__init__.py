"""The code version of a task: what counts as a change of its code."""

from __future__ import annotations

from cascade.spec.code.version import TaskCode, code_of, code_version

__all__ = ["TaskCode", "code_of", "code_version"]
