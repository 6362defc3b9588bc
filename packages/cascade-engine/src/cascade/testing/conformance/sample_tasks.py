"""Tasks that the suites call. They stand at the top of an importable module, so that other processes find them."""

from __future__ import annotations

import asyncio
import os
import time
from enum import Enum
from pathlib import Path

from cascade.spec.task import task

PATIENCE = 30.0
"""Seconds after which something that should have happened counts as never happening."""


@task
def give(value: object) -> object:
    """Return the value."""
    return value


@task
async def give_later(value: object) -> object:
    """Return the value after a turn of the loop."""
    await asyncio.sleep(0)
    return value


@task
def show(*args: object, **kwargs: object) -> object:
    """Return all arguments."""
    return args, kwargs


@task
def fail(text: str) -> None:
    """Raise an exception that no machinery raises by itself."""
    raise ZeroDivisionError(text)


@task
async def fail_later(text: str) -> None:
    """Raise it after a turn of the loop."""
    await asyncio.sleep(0)
    raise ZeroDivisionError(text)


@task
def linger(folder: str) -> None:
    """Run until the file `go` is there, which no cancellation brings about."""
    waiting = _Waiting(Path(folder))
    while waiting.goes_on():
        time.sleep(0.001)
    waiting.end()


@task
async def linger_later(folder: str) -> None:
    """Run until cancelled or until the file `go` is there, and take a turn of the loop to end."""
    waiting = _Waiting(Path(folder))
    try:
        while waiting.goes_on():  # noqa: ASYNC110 - a file is seen from any process, an event is not
            await asyncio.sleep(0.001)
    finally:
        await asyncio.sleep(0)
        waiting.end()


class Part(Enum):
    """What a call of `play` does."""

    GIVE = "give"
    FAIL = "fail"
    LINGER = "linger"
    MARK = "mark"  # make a file, after some time


@task
def play(part: Part, value: object, seconds: float = 0.0) -> object:
    """Do what `part` says: the calls of a chunk are all of one task."""
    if part is Part.FAIL:
        raise ZeroDivisionError(value)
    if part is Part.LINGER:
        linger.func(str(value))
    if part is Part.MARK:
        time.sleep(seconds)
        Path(str(value)).touch()
    return value


class _Waiting:
    """A call that shows in a folder that it has begun and ended, and waits there for the file `go`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ends = time.monotonic() + PATIENCE
        (folder / "beginning").write_text(str(os.getpid()))
        (folder / "beginning").rename(folder / "began")  # with the process in it from the start

    def goes_on(self) -> bool:
        """Tell whether to wait on; a folder that is gone means that nobody waits for the call any more."""
        is_over = (self._folder / "go").exists() or not self._folder.exists()
        return not is_over and time.monotonic() < self._ends

    def end(self) -> None:
        """Show that the call is over."""
        if self._folder.exists():
            (self._folder / "ended").touch()
