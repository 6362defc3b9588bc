"""The watch over the event loop: which tasks hold it for long while others wait."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Iterable
from typing import Any
from weakref import WeakKeyDictionary

from cascade.runtime.exceptions import BlockedLoopWarning
from cascade.spec.task import Task

BLOCKED_SECONDS = 0.1
"""A task that holds the event loop for so long while others wait is told of at its second offence."""


class BlockedLoopWatch:
    """Warns of tasks that hold the event loop, once for each; the first time may be the machine's doing."""

    __slots__ = ("_offences",)

    def __init__(self) -> None:
        self._offences: WeakKeyDictionary[Task[Any], int] = WeakKeyDictionary()

    def note(self, task: Task[Any], seconds: float, own: Iterable[asyncio.Future[Any] | None]) -> None:
        """Note that a task has held the loop for so long; `own` are the asyncio tasks that don't count as others."""
        if seconds < BLOCKED_SECONDS or asyncio.all_tasks() <= set(own):
            return
        self._offences[task] = self._offences.get(task, 0) + 1
        if self._offences[task] == 2:
            warnings.warn(
                f"task '{task.name}' held the event loop for {seconds:.2f} s while others waited; "
                f'write @cs.task(mode="thread") if it blocks, mode="process" if it computes',
                BlockedLoopWarning,
                stacklevel=2,
            )
