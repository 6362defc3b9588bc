"""Calls as a worker of a cluster makes them: one after the other, each with an end of its own.

Objects of the user's are unpickled, called and pickled inside a `try`: whatever they raise is the end of their call.
"""

from __future__ import annotations

import contextvars
import importlib
import inspect
import os
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cascade.adapters.call_facts import CallFacts, facts_in_context
from cascade.adapters.executors.remote_calls.call_reports import CallReport, ToldEnd
from cascade.adapters.executors.remote_calls.call_requests import CallRequest, TaskCode, request_from
from cascade.adapters.executors.remote_calls.cloud_pickling import (
    decode,
    encode,
    encode_if_small,
    encode_value,
)
from cascade.adapters.executors.worker_processes.messages import ReplyKind, pack_failure, report_of
from cascade.adapters.travelling.carried_variables import set_here
from cascade.adapters.travelling.luggage import Luggage, with_resources
from cascade.adapters.travelling.open_resources import OPEN_HERE
from cascade.spec.calls.arguments import LOOKED_INTO, holds_inside
from cascade.spec.calls.quoting import Quoted
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import DamagedDataError, StoreError
from cascade.spec.task import AnyTask


class Made(NamedTuple):
    """What the calls of a request have come to: a `CallReport` as bytes, and the one value that stays, if one does."""

    report: bytes
    staying: object
    stays: bool


class Surveyor:
    """What a cluster adds to the calls of one request in its worker; here nothing."""

    def may_go_on(self, end: ToldEnd) -> bool:
        """Hear how a call has ended; tell whether another one may begin."""
        return True

    def keep(self, value: object) -> object:
        """Return what the cluster keeps of a value that stays.

        Raises:
            BaseException: If the value can't be kept.
        """
        return value


def make_calls(request: bytes, values: Sequence[object] = (), surveyor: Surveyor | None = None) -> Made:
    """Make the calls of a request; `values` are those of the handles in its arguments.

    After a while no other call is begun, nor when the surveyor says no. At most one value stays: a call whose value
    does is the last one. So is one that makes the report large where a value may stay.
    """
    surveyor = surveyor or Surveyor()
    asked = request_from(request)
    places = _Places(values, [])
    ends: list[ToldEnd] = []
    staying, size = None, 0
    limit = time.monotonic() + asked.seconds
    for position in range(len(asked.facts)):
        began = time.monotonic()
        if position and began > limit:
            break
        # Each call has a context of its own: what one sets there, the next one does not see.
        kind, body, staying = contextvars.copy_context().run(_make, asked, position, places, surveyor)
        ends.append(ToldEnd(position, kind, began, time.monotonic(), body))
        if not surveyor.may_go_on(ends[-1]) or body is None:
            break
        if asked.chain is not None and not places.has_result_of(position):
            break
        size += len(body)
        if asked.staying_size is not None and size > _REPORT_SIZE:
            break
    stays = ends[-1].body is None
    return Made(CallReport(ends, _worker_name(), time.monotonic()).as_bytes(), staying, stays)


_REPORT_SIZE = 1 << 14
"""Small values that come home together have about this many bytes."""


def _worker_name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


_OWN_FRAMES = 4
"""The frames of this module in the traceback of a call."""

_End = tuple[ReplyKind, bytes | None, object]


class _Places(NamedTuple):
    """What stands in the places of arguments: the values of handles, and the results of a chain so far."""

    values: Sequence[object]
    results: list[object]

    def has_result_of(self, position: int) -> bool:
        """Tell whether a call has given a value, so that those that take it may go on."""
        return len(self.results) > position


def _make(asked: CallRequest, position: int, places: _Places, surveyor: Surveyor) -> _End:
    try:
        task = _loaded(asked.code_at(position))
    except BaseException as error:  # noqa: BLE001 - whatever its module or its code raises
        return ReplyKind.NOT_LOADED, pack_failure(report_of(error, 1)), None
    try:
        if asked.chain is not None and not position:
            places.results.extend(map(decode, asked.chain.earlier))
        args, kwargs = decode(asked.arguments[position], *places)
    except (StoreError, DamagedDataError) as error:  # what is wrong is the value store of the run
        return ReplyKind.RAISED, pack_failure(report_of(error, 1), exception=_encoded(error)), None
    except BaseException as error:  # noqa: BLE001 - a user's object may do anything
        return ReplyKind.REFUSED, pack_failure(report_of(error, 1), "an argument"), None
    try:
        luggage, known = asked.luggage, CallFacts(*asked.facts[position])
        value = _within(luggage, known, lambda: _value(task, args, kwargs, luggage))
    except BaseException as error:  # noqa: BLE001 - raised again where the run is
        return ReplyKind.RAISED, pack_failure(report_of(error, _OWN_FRAMES), exception=_encoded(error)), None
    if asked.chain is not None and not _stands(value):
        places.results.append(value.value if type(value) is Quoted else value)
    try:
        if luggage is not None and luggage.results is not None and not _stands(value):
            from cascade.adapters.values.made_values import told_result  # noqa: PLC0415 - brings codecs

            return ReplyKind.DONE, told_result(luggage.results, value, encode_value), None
        return _told(value, asked.staying_size, surveyor)
    except BaseException as error:  # noqa: BLE001 - as for arguments
        return ReplyKind.REFUSED, pack_failure(report_of(error, 1), "the result"), None


def _within(luggage: Luggage | None, facts: CallFacts, call: Callable[[], Any]) -> Any:
    """Make a call with all that it has around it: its facts, its span, and what travels with it."""
    facts_in_context.set(facts)
    if luggage is not None:
        set_here(luggage.values, importlib.import_module, decode)
    if facts.trace:
        from cascade.adapters.trace_context import call_within  # noqa: PLC0415 - brings OpenTelemetry

        return call_within(facts.trace, call)
    return call()


def _value(task: AnyTask, args: Any, kwargs: Any, luggage: Luggage | None) -> Any:
    if luggage is not None:
        args, kwargs = with_resources(luggage, args, kwargs)
    value = task.func(*args, **kwargs)
    if inspect.isawaitable(value) and not isinstance(value, StandsForValue):
        return OPEN_HERE.awaited(value)
    return value


def _told(value: Any, staying_size: int | None, surveyor: Surveyor) -> _End:
    """Return a value as it goes home, or as it stays: what stands for another value never does."""
    if staying_size is None or _stands(value):
        return ReplyKind.DONE, encode_value(value), None
    small = encode_if_small(value, staying_size)
    if small is None:
        return ReplyKind.DONE, None, surveyor.keep(value.value if type(value) is Quoted else value)
    return ReplyKind.DONE, small, None


def _stands(value: Any) -> bool:
    if isinstance(value, StandsForValue):
        return True
    return type(value) is not Quoted and type(value) in LOOKED_INTO and holds_inside(value)


def _encoded(error: BaseException) -> bytes:
    try:
        return encode(error)
    except BaseException:  # noqa: BLE001 - what stands for it is its text
        return b""


_loaded_tasks: OrderedDict[bytes, AnyTask] = OrderedDict()
_LOADED_KEPT = 64


def _loaded(code: TaskCode) -> AnyTask:
    """Return a task; its code is unpickled when it comes for the first time."""
    task = _loaded_tasks.get(code.digest)
    if task is None:
        task = _loaded_tasks[code.digest] = decode(code.body)
        while len(_loaded_tasks) > _LOADED_KEPT:
            _loaded_tasks.popitem(last=False)
    return task
