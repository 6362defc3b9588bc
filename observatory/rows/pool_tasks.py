"""Tasks for workers in other processes, which find them by this module and their names."""

from __future__ import annotations

import cascade as cs
from observatory import work


@cs.task
def square(x: int) -> int:
    return work.square(x)


@cs.task
def busy(x: int) -> int:
    return work.busy(x)


@cs.task(retry=2)
def busy_with_retry(x: int) -> int:
    return work.busy(x)


@cs.task(timeout=60.0)
def busy_with_timeout(x: int) -> int:
    return work.busy(x)
