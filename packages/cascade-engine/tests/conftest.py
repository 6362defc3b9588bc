"""A loop whose clock jumps instead of waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest

HANGS = 20.0
"""Real seconds without anything happening after which a loop counts as hanging."""


class _Selector(selectors.DefaultSelector):
    """Moves the clock on where a real one would wait; while the clock is frozen, only other threads can wake it."""

    def __init__(self, play: Play) -> None:
        super().__init__()
        self._play = play

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or (self._play.frozen and timeout > 0):
            ready = super().select(HANGS)
            assert ready, "the loop waits for what never happens"
            return ready
        ready = super().select(0)
        if not ready:
            self._play.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, play: Play) -> None:
        super().__init__(_Selector(play))
        self._play = play

    def time(self) -> float:
        return self._play.now


class Play:
    """Runs a coroutine in a loop on a clock of its own, and checks that it leaves no asyncio task behind.

    `now` is that clock. Set `frozen` while a thread is to get as far as it must before time passes.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.frozen = False

    def __call__(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def watched() -> Any:
            try:
                return await work
            finally:
                left = asyncio.all_tasks() - {asyncio.current_task()}
                assert not left, f"still running: {left}"

        with asyncio.Runner(loop_factory=lambda: _Loop(self)) as runner:
            return runner.run(watched())


@pytest.fixture
def play() -> Play:
    """Run a coroutine on a clock that jumps."""
    return Play()
