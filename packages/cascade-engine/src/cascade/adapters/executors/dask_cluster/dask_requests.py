"""What a worker of a Dask cluster does with a request. The worker imports this module.

What came of the calls goes home as an event of the connection's topic, beside Dask's own message that the task has
ended: so a small value is there without being asked for.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import threading
from collections import OrderedDict
from collections.abc import Sequence

from distributed import get_worker

from cascade.adapters.executors.remote_calls.call_reports import ToldEnd
from cascade.adapters.executors.remote_calls.made_calls import Surveyor, make_calls
from cascade.adapters.executors.remote_calls.worker_journal import NAME_SIZE, WorkerJournal

EVENT_SIZE = 1 << 14
"""Reports with more bytes are fetched: the scheduler keeps the last thousand events of a topic."""

_KNOWN = 10_000
"""How many requests a worker remembers: long enough for a question about one that has just ended."""

_begun: OrderedDict[str, None] = OrderedDict()
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
    worker.log_event(topic, {"key": key, "report": report, "stays": made.stays})
    return made.staying if is_small else made.report


def journal_name(key: str) -> bytes:
    """Return the name that a request has in the journal of a worker."""
    return hashlib.blake2b(key.encode(), digest_size=NAME_SIZE).digest()


class _Journals(threading.local):
    """The journals of one thread, in turn: what a request has done is there until a few others have ended."""

    def __init__(self) -> None:
        self._next = itertools.cycle([WorkerJournal(next(_numbers)) for _ in range(_JOURNALS)])

    def begin(self, name: bytes) -> WorkerJournal:
        journal = next(self._next)
        journal.begin_request(name)
        return journal


_JOURNALS = 8
"""More requests than a thread can end before the first of their reports has left the process."""

_numbers = itertools.count()


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


def withdraw(keys: Sequence[str]) -> list[str]:
    """Begin nothing more of these requests; return those that had begun."""
    with _lock:
        for key in keys:
            _note(_withdrawn, key)
        return [key for key in keys if key in _begun]


def _begin(key: str) -> bool:
    with _lock:
        if key in _withdrawn:
            return False
        _note(_begun, key)
        return True


def _note(known: OrderedDict[str, None], key: str) -> None:
    known[key] = None
    while len(known) > _KNOWN:
        known.popitem(last=False)
