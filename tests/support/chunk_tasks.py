"""Tasks whose calls go out in chunks, and notes of them in a file. Worker processes import this module."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from enum import Enum
from pathlib import Path
from typing import Any

import cascade as cs


class Part(Enum):
    """What an item does."""

    GIVE = "give"
    FAIL = "fail"
    FLAKY = "flaky"  # fails at its first attempt
    TREE = "tree"
    ODD = "odd"  # returns what can't be pickled
    DIE = "die"  # ends its process at its first attempt
    HANG = "hang"
    SLOW = "slow"
    STOP = "stop"


class Unreadable:
    """An argument that can be pickled, and not unpickled."""

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    raise LookupError("unreadable")


class StoppedError(BaseException):
    """What a call raises that is to stop the run."""


def note(ledger: str, number: int) -> int:
    """Note a call in a file that all processes share; return how many calls of this number there were before."""
    with Path(ledger).open("ab", buffering=0) as file:
        file.write(f"{number}\n".encode())
    return calls_in(ledger)[number] - 1


def calls_in(ledger: str) -> Counter[int]:
    return Counter(map(int, Path(ledger).read_text().split()))


@cs.task
def double(number: int) -> int:
    return 2 * number


@cs.task
def play(item: tuple[int, Part], ledger: str) -> Any:
    number, part = item
    before = note(ledger, number)
    if part is Part.FAIL or (part is Part.FLAKY and not before):
        raise ZeroDivisionError(number)
    if part is Part.DIE and not before:
        os.kill(os.getpid(), signal.SIGKILL)
    if part is Part.STOP:
        raise StoppedError(number)
    if part is Part.SLOW:
        time.sleep(0.05)
    while part is Part.HANG:
        pass
    if part is Part.TREE:
        return double(number)
    return threading.Lock() if part is Part.ODD else 2 * number


@cs.task(mode="process")
def survive(number: int, ledger: str) -> int:
    note(ledger, number)
    Path(f"{ledger}.{os.getpid()}").touch()
    time.sleep(0.0005)
    return 2 * number


@cs.task
def overlap(number: int, folder: str) -> int:
    """Return how many calls are under way; fail at the first attempt of every fifth item."""
    own = Path(folder) / f"{number}.running"
    own.touch()
    time.sleep(0.002)
    count = len([*Path(folder).glob("*.running")])
    own.unlink()
    tried = Path(folder) / f"{number}.tried"
    if number % 5 == 2 and not tried.exists():
        tried.touch()
        raise ZeroDivisionError(number)
    return count


@cs.task
def tally(number: int, ledger: str) -> int:
    note(ledger, number)
    return 2 * number


@cs.task
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds
