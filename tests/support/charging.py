"""A call that charges in a ledger outside. Worker processes import this, so it imports nothing but what that needs."""

from __future__ import annotations

import os
import time
from contextvars import ContextVar
from pathlib import Path

import cascade as cs

LOG = Path("calls.log")

DRIVER: ContextVar[int] = ContextVar("DRIVER")
"""The process that drives the run."""


def note(call: str) -> None:
    """Append a call to the log: one write of the system's, which outlives the process."""
    log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"{call}\n".encode())
    os.close(log)


@cs.task
def charge(number: int, seconds: float, key: str = cs.inject("idempotency_key")) -> str:
    time.sleep(seconds / 2)
    note(f"part-{number}-,{key},{DRIVER.get()},{os.getpid()}")
    time.sleep(seconds / 2)
    return f"part-{number}-"
