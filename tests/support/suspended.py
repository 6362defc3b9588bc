"""A run of many calls, which suspends its process at one of them; each call is logged with its process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.runtime import Engine
from support.stores import recorded

CALLS = 300
SUSPENDED_AT = 20
"""The number of logged calls at which `main` suspends the process."""

_suspends: list[bool] = []
"""Is empty but in a process that is to be suspended once."""


def note(log: str, number: int) -> int:
    """Append a call to the log: one write of the system's."""
    opened = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(opened, f"{number} {os.getpid()}\n".encode())
    os.close(opened)
    if _suspends and len(calls_of(Path(log))) >= SUSPENDED_AT:
        with suppress(IndexError):  # another thread has come first
            _suspends.pop()
            os.kill(os.getpid(), signal.SIGSTOP)
    return 1


def calls_of(log: Path) -> list[str]:
    """Return the calls so far, each with the process that made it."""
    return log.read_text().splitlines() if log.exists() else []


@cs.task
def inline(number: int, log: str) -> int:
    time.sleep(0.002)
    return note(log, number)


@cs.task
async def later(number: int, log: str) -> int:
    note(log, number)
    await asyncio.sleep(0.002)
    return 1


@cs.task(mode="thread")
def threaded(number: int, log: str) -> int:
    time.sleep(0.002)
    return note(log, number)


@cs.task
def loop(number: int, log: str) -> Any:
    time.sleep(0.002)
    note(log, number)
    return loop(number + 1, log) if number < CALLS else CALLS


@cs.task
def total(*numbers: int) -> int:
    return sum(numbers)


def target(kind: str, log: Path) -> Any:
    """Return the run."""
    if kind == "loop":
        return loop(1, str(log))
    task = {"inline": inline, "later": later, "thread": threaded}[kind]
    return total(*(task(number, str(log)) for number in range(CALLS)))


def main(url: str, kind: str, log: str) -> None:
    """Run it, a few calls at a time, and stop in the middle until somebody wakes this process."""
    _suspends.append(True)

    async def run() -> None:
        make = recorded(url, lease_seconds=1.0)
        async with Engine(state_backend_cls=make, max_concurrency=4) as engine:
            await engine.run(target(kind, Path(log)), run_id="r")

    asyncio.run(run())
