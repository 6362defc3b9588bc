"""A workflow with a large parameter, for runs that are interrupted and recovered."""

from __future__ import annotations

from typing import Any

import cascade as cs
from support.recovering import hold


@cs.task
def measured(data: bytes, before: str) -> int:
    return len(data)


def workflow() -> Any:
    """Measure a parameter, after what may have to wait."""
    return measured(cs.Param("data", type=bytes), hold("held"))
