"""What a worker of a Dask cluster does with a request. The worker imports this module.

What came of the calls goes home as an event of the connection's topic, beside Dask's own message that the task has
ended: so a small value is there without being asked for.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from distributed import get_worker

from cascade.adapters.executors.remote_calls.call_reports import ToldEnd
from cascade.adapters.executors.remote_calls.made_calls import Surveyor, make_calls

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


class _DaskSurveyor(Surveyor):
    def __init__(self, key: str) -> None:
        self._key = key

    def may_go_on(self, end: ToldEnd) -> bool:
        return self._key not in _withdrawn


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
