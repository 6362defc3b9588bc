"""Tasks whose calls go out in chunks, and notes of them in a file. Worker processes import this module."""

from __future__ import annotations

import json
import logging
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
    LATE = "late"  # does not end at its first attempt, and takes no processor
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
    if part is Part.LATE and not before:
        time.sleep(600)
    if part is Part.STOP:
        raise StoppedError(number)
    if part is Part.SLOW:
        time.sleep(0.05)
    while part is Part.HANG:
        pass
    if part is Part.TREE:
        return double(number)
    return threading.Lock() if part is Part.ODD else 2 * number


@cs.task
def play_named(item: tuple[int, str], ledger: str) -> Any:
    """Do what an item does that is plain data, which a store can hold."""
    number, part = item
    return play.func((number, Part(part)), ledger)


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


@cs.task
def ask(_: int = 0) -> tuple[Any, ...]:
    """Return what the call knows of itself, and its process."""
    return (*cs.current_call(), os.getpid())


@cs.task
def ask_with_key(_: int = 0, key: str = cs.inject("idempotency_key")) -> bool:
    """Tell whether the call knows its own key."""
    return key == cs.current_call().idempotency_key


@cs.task
def ask_when_it_succeeds(ledger: str, number: int) -> tuple[int | None, int]:
    """Fail at the first attempt; then return the item and the attempt."""
    if not note(ledger, number):
        raise LookupError(number)
    facts = cs.current_call()
    return facts.item, facts.attempt


@cs.task
def ask_in_a_run(name: str) -> list[str]:
    """Return the run and the task of a call of a run inside of this call, and those of this call after it."""
    inner = cs.run(ask(), run_id=f"inside {name}")
    return [inner[0], inner[1], cs.current_call().run_id, cs.current_call().task]


@cs.task
def log_to(path: str, number: int) -> None:
    """Log with a handler of this process that writes the fields of the call to a file."""
    logger = logging.getLogger("worker")
    if not logger.handlers:
        handler = logging.FileHandler(path)
        handler.addFilter(cs.CallLogFilter())
        handler.setFormatter(_FieldsAsJson())
        logger.addHandler(handler)
    logger.warning("number %d", number)


class _FieldsAsJson(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = vars(record)
        names = ("run_id", "task_name", "item", "attempt")
        return json.dumps([record.getMessage(), *(facts[name] for name in names)])


@cs.task
def span_here(_: int = 0) -> tuple[int, int]:
    """Return the trace and the span that are current here."""
    from opentelemetry import trace

    context = trace.get_current_span().get_span_context()
    return context.trace_id, context.span_id
