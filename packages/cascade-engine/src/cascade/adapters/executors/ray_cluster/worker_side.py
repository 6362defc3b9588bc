"""What a worker of Ray does: the calls of one request."""

from __future__ import annotations

import functools

from cascade.adapters.executors.ray_cluster.resource_release import mark_open
from cascade.adapters.executors.ray_cluster.stayed_values import SharedValues, StayedValue, stayed
from cascade.adapters.executors.remote_calls.call_reports import ToldEnd
from cascade.adapters.executors.remote_calls.made_calls import Surveyor, make_calls
from cascade.adapters.executors.remote_calls.worker_journal import WorkerJournal

_journal = functools.cache(WorkerJournal)


class _RaySurveyor(Surveyor):
    """Writes the journal, and makes of values what Ray keeps."""

    def __init__(self, name: bytes, values: SharedValues) -> None:
        self._values = values
        self._journal = _journal()
        self._journal.begin_request(name)

    def may_go_on(self, end: ToldEnd) -> bool:
        self._values.renew()
        return self._journal.add(end)

    def keep(self, value: object) -> object:
        return stayed(value)


def make_calls_on_ray(name: bytes, request: bytes, *kept: StayedValue) -> tuple[bytes, object]:
    """Make the calls of a request; return the report, and what Ray keeps of the value that stays."""
    values = SharedValues(kept)
    made = make_calls(request, values, _RaySurveyor(name, values))
    mark_open()
    return made.report, made.staying
