"""Spawning: how the engine makes its asyncio tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def spawn(work: Coroutine[Any, Any, T], context: Context | None = None) -> asyncio.Task[T]:
    """Begin `work` in a later turn of the running loop.

    The loop's task factory is left out: one that begins tasks at once can't begin one in the context of its maker.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), context=context)
