"""What a timeout and a cancellation really do to a call: found out by trying, on any executor.

`timeout_effect` and `cancellation_effect` return a member of `Interruption`. They fail if a call that should be over is
not, or if the run has waited for it without a word.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cascade.adapters.executors.call_places import Interruption
from cascade.runtime.bus import MessageBus
from cascade.runtime.engine import Engine
from cascade.runtime.events import TaskBlocked
from cascade.runtime.exceptions import InlineTimeoutError, TaskTimeoutError, TimeoutRefusedError
from cascade.runtime.protocols import Executor
from cascade.spec.lazy_types import LazyResult
from cascade.testing.conformance.sample_tasks import PATIENCE

Lingering = Callable[[str], LazyResult[None]]
"""`linger` or `linger_later` of the sample tasks, which take a folder."""

_SECONDS = (0.2, 1.0, 5.0)
"""The timeouts that are tried until the call has begun before: a worker may have to be started first."""


class _Watch:
    """Lets a lingering call go on as soon as the run says that it waits for it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self.was_told = False
        self.bus = MessageBus()
        self.bus.subscribe(TaskBlocked, self._hear)

    def _hear(self, event: TaskBlocked) -> None:
        if event.task_name == self._name and "interrupted" in event.reason:
            self.was_told = True
            (self._folder / "go").touch()

    def effect(self) -> Interruption:
        """Return what has happened to a call that is over."""
        began, ended = self._folder / "began", self._folder / "ended"
        is_over = ended.exists() or not lives(int(began.read_text()))
        assert is_over, "the run has ended, and the call is still under way"
        return Interruption.WAITS if self.was_told else Interruption.ENDS


async def timeout_effect(executor: Executor, call: Lingering) -> Interruption:
    """Return what a timeout does to a call on an executor."""
    for seconds in _SECONDS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
            folder, lazy = Path(name), call(name).with_timeout(seconds)
            watch = _Watch(folder, lazy.task.name)
            engine, begun_at = Engine(executor=executor, bus=watch.bus), time.monotonic()
            try:
                await engine.run(lazy)
            except (InlineTimeoutError, TimeoutRefusedError):
                assert not (folder / "began").exists(), "a call was made that is refused"
                return Interruption.REFUSED
            except TaskTimeoutError:
                if (folder / "began").exists():
                    silent = not watch.was_told and time.monotonic() - begun_at > PATIENCE
                    assert not silent, "the run has waited for a call, and did not say so"
                    return watch.effect()
            else:
                raise AssertionError("the timeout has no effect")
            finally:
                await engine.close()
    raise AssertionError("the call does not begin")


async def cancellation_effect(executor: Executor, call: Lingering, holds_loop: bool = False) -> Interruption:
    """Return what the cancellation of its run does to a call on an executor; `holds_loop` says that it is made inline.

    Such a call keeps the event loop, so the cancellation comes when it has ended, and nobody can say anything before.
    """
    # A call that goes on after its run, which is told here, may still write.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        folder, lazy = Path(name), call(name)
        watch = _Watch(folder, lazy.task.name)
        engine = Engine(executor=executor, bus=watch.bus)
        running = asyncio.ensure_future(engine.run(lazy))
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            ends = time.monotonic() + PATIENCE
            while not (folder / "began").exists() and time.monotonic() < ends:
                time.sleep(0.001)
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(running.cancel)
            if holds_loop:
                (folder / "go").touch()

        thread = threading.Thread(target=cancel)
        thread.start()
        try:
            begun_at = time.monotonic()
            await asyncio.wait([running])
            silent = not (watch.was_told or holds_loop) and time.monotonic() - begun_at > PATIENCE
            assert not silent, "the run has waited for a call, and did not say so"
            _look_at(running)
        finally:
            thread.join()
            await engine.close()
        effect = watch.effect()
        return Interruption.WAITS if holds_loop and (folder / "ended").exists() else effect


def _look_at(running: asyncio.Future[Any]) -> None:
    """Raise what is neither a value nor a cancellation."""
    if not running.cancelled():
        running.result()


def lives(process: int) -> bool:
    """Tell whether there is a process of that number; an executor may end a call with the process that makes it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
