"""Reports: what a worker of a cluster tells of the calls of a request, as plain data."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import NamedTuple

from cascade.adapters.executors.worker_processes.messages import ReplyKind


class ToldEnd(NamedTuple):
    """How the call at `position` has ended. `body` is the value as bytes, or what `pack_failure` made.

    `body` is `None` for a value that stays. `began` and `ended` are times of the worker's `time.monotonic`.
    """

    position: int
    kind: ReplyKind
    began: float
    ended: float
    body: bytes | None


class CallReport(NamedTuple):
    """What has become of a request. The calls that have no end have not begun.

    `sent` is the worker's `time.monotonic` when it was made, `worker` its name.
    """

    ends: Sequence[ToldEnd]
    worker: str
    sent: float

    def as_bytes(self) -> bytes:
        """Return the report as bytes."""
        ends = [(each[0], each[1].value, *each[2:]) for each in self.ends]
        return pickle.dumps((ends, self.worker, self.sent), pickle.HIGHEST_PROTOCOL)


def report_from(payload: bytes) -> CallReport:
    """Return what `CallReport.as_bytes` was made of: nothing of the user's is unpickled here."""
    ends, worker, sent = pickle.loads(payload)
    return CallReport([ToldEnd(each[0], ReplyKind(each[1]), *each[2:]) for each in ends], worker, sent)


def without_last(payload: bytes) -> tuple[bytes, int]:
    """Return a report without its last end, and the position of that one."""
    report = report_from(payload)
    return report._replace(ends=report.ends[:-1]).as_bytes(), report.ends[-1].position
