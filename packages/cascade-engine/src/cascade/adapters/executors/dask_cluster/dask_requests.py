"""What a worker of a Dask cluster does with a request. The worker imports this module.

What came of the calls goes home as an event of the connection's topic, beside Dask's own message that the task has
ended: so a small value is there without being asked for.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

from distributed import get_worker

from cascade.adapters.executors.remote_calls.call_reports import ToldEnd
from cascade.adapters.executors.remote_calls.made_calls import Surveyor, make_calls
from cascade.adapters.executors.remote_calls.worker_journal import (
    NAME_SIZE,
    Remains,
    WorkerJournal,
    find_remains,
)

EVENT_SIZE = 1 << 14
"""Reports with more bytes are fetched: the scheduler keeps the last thousand events of a topic."""

_KNOWN = 10_000
"""How many requests a worker remembers: long enough for a question about one that has just ended."""

_REPORTS_KNOWN = 1000
"""How many reports it remembers."""

_CLOSING_SECONDS = 60.0
"""How long a worker that is closed in good order may go on: Dask gives its calls half of that to end."""

End = tuple[bytes, bool]
"""How a request has ended: its report, which is empty where it has to be fetched, and whether a value stays."""

_begun: OrderedDict[str, None] = OrderedDict()
_ended: OrderedDict[str, End] = OrderedDict()
_withdrawn: OrderedDict[str, None] = OrderedDict()
_lock = threading.Lock()


def make_request(topic: str, request: bytes, *values: object) -> object:
    """Make the calls of a request in a thread of a worker, unless it is withdrawn.

    Returns the value that stays here, or the report where that is large.
    """
    worker = get_worker()
    key = str(worker.get_current_task())
    if not _begin(key):
        return None
    made = make_calls(request, values, _DaskSurveyor(key))
    is_small = len(made.report) <= EVENT_SIZE
    report = made.report if is_small else b""
    with _lock:
        _note(_ended, key, (report, made.stays), _REPORTS_KNOWN)
    worker.log_event(topic, {"key": key, "report": report, "stays": made.stays})
    return made.staying if is_small else made.report


def journal_name(key: str) -> bytes:
    """Return the name that a request has in the journal of a worker."""
    return hashlib.blake2b(key.encode(), digest_size=NAME_SIZE).digest()


async def find_journal(name: bytes) -> Remains | None:
    """Return what a worker of this machine has left that has gone; the event loop of this worker goes on meanwhile."""
    return await asyncio.to_thread(find_remains, name, _CLOSING_SECONDS)


class _Journals(threading.local):
    """The journals of one thread, in turn: what a request has done is there until a few others have ended."""

    def __init__(self) -> None:
        self._next = itertools.cycle([WorkerJournal() for _ in range(_JOURNALS)])

    def begin(self, name: bytes) -> WorkerJournal:
        journal = next(self._next)
        journal.begin_request(name)
        return journal


_JOURNALS = 8
"""More requests than a thread can end before the first of their reports has left the process."""


class _DaskSurveyor(Surveyor):
    """Writes the journal, and lets no call begin of a request that is withdrawn."""

    def __init__(self, key: str) -> None:
        self._key = key
        self._journal = _journals().begin(journal_name(key))

    def may_go_on(self, end: ToldEnd) -> bool:
        return self._journal.add(end) and self._key not in _withdrawn


@functools.cache
def _journals() -> _Journals:
    return _Journals()


def withdraw(keys: Sequence[str]) -> dict[str, End | None]:
    """Begin nothing more of these requests; return those that had begun, with how they have ended if they have."""
    with _lock:
        for key in keys:
            _note(_withdrawn, key, None, _KNOWN)
        return {key: _ended.get(key) for key in keys if key in _begun}


def _begin(key: str) -> bool:
    with _lock:
        if key in _withdrawn:
            return False
        _note(_begun, key, None, _KNOWN)
        return True


T = TypeVar("T")


def _note(known: OrderedDict[str, T], key: str, what: T, size: int) -> None:
    known[key] = what
    while len(known) > size:
        known.popitem(last=False)
