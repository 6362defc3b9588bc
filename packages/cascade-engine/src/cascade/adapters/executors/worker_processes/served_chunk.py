"""A chunk of calls as the worker process makes it: one after the other, in the main thread.

Objects of the user's are pickled, called and unpickled inside a `try`: whatever they raise is the end of their call.
"""

from __future__ import annotations

import contextlib
import inspect
import pickle
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextvars import copy_context
from multiprocessing.connection import Connection
from typing import Any

from cascade.adapters.call_facts import CallFacts, facts_in_context
from cascade.adapters.executors.worker_processes.crash_record import CrashRecord
from cascade.adapters.executors.worker_processes.exception_pickling import encode_exception
from cascade.adapters.executors.worker_processes.messages import (
    END,
    END_KINDS,
    ChunkReply,
    ReplyKind,
    Request,
    pack_failure,
    report_of,
)
from cascade.adapters.executors.worker_processes.worker_loading import Loader
from cascade.adapters.travelling.carried_variables import set_here
from cascade.adapters.travelling.luggage import with_resources
from cascade.adapters.travelling.open_resources import OPEN_HERE
from cascade.spec.calls.standing import StandsForValue
from cascade.spec.errors import DamagedDataError, StoreError
from cascade.spec.task import AnyTask

_PLAIN = frozenset({type(None), bool, int, float, str, bytes, tuple, list, dict})
"""Types that are never awaited: to ask that of a value costs as much as a short call."""

_KIND_PLACES = {kind: place for place, kind in enumerate(END_KINDS)}


class ServedChunk:
    """The calls of one request, and the ends that are not told yet.

    The main thread makes the calls, and the thread that reads the channel tells after a while what has ended.
    """

    def __init__(self, channel: Connection, record: CrashRecord, request: Request, payload: bytes) -> None:
        self._channel = channel
        self._record = record
        self._luggage = request.luggage
        self._left = deque(enumerate(zip(_cut(payload, request.sizes), request.facts, strict=True)))
        self._has_begun = False
        self._under_way: int | None = None
        self._ended: list[tuple[bytes, bytes]] = []
        self._lock = threading.Lock()  # held while the ends change or are sent
        self._is_over = False

    def make_calls(self, task: AnyTask, loader: Loader) -> None:
        """Make the calls that are not given back meanwhile, and tell how they have ended."""
        left, record = self._left, self._record
        record.begin_chunk()
        while True:
            try:
                position, (arguments, facts) = left.popleft()
            except IndexError:
                break
            self._under_way, self._has_begun = position, True
            record.begin(position)
            began = time.monotonic()
            # As in threads, what a call sets in its context is its own.
            kind, body = copy_context().run(self._call, task, loader, arguments, facts)
            head = END.pack(position, _KIND_PLACES[kind], began, time.monotonic(), len(body))
            with self._lock:
                self._ended.append((head, body))
                if not record.add(head, body):
                    self._send()
            del arguments, body  # nothing of a call is kept until the next one ends
        self._under_way = None
        with self._lock:
            self._is_over = True
            self._send()

    def give_back(self) -> None:
        """Tell what has ended, and give back the calls that have not begun."""
        given_back = []
        with self._lock:
            if self._is_over:
                return
            kept = (
                0 if self._has_begun else 1
            )  # so that each chunk makes some progress, also on a busy machine
            while len(self._left) > kept:
                with contextlib.suppress(IndexError):
                    given_back.append(self._left.pop()[0])
            self._send(given_back)

    def drop(self) -> None:
        """Note that none of the calls is made, and that this is told."""
        with self._lock:
            self._left.clear()
            self._is_over = True

    def _call(
        self, task: AnyTask, loader: Loader, arguments: memoryview, facts: tuple[Any, ...]
    ) -> tuple[ReplyKind, bytes]:
        facts_in_context.set(facts)
        luggage = self._luggage
        try:
            if luggage is not None:
                for module in luggage.resource_modules:
                    loader.load_module(module)
                set_here(luggage.values, loader.load_module, loader.decode)
        except BaseException as error:  # noqa: BLE001 - whatever a module or a value does
            return _raised(error)
        try:
            args, kwargs = loader.decode(arguments)
        except (StoreError, DamagedDataError) as error:  # what is wrong is the value store of the run
            return _raised(error)
        except BaseException as error:  # noqa: BLE001 - a user's object may do anything
            return ReplyKind.REFUSED, pack_failure(report_of(error, 1), "an argument")
        try:
            if luggage is not None:
                args, kwargs = with_resources(luggage, args, kwargs)
            trace = CallFacts(*facts).trace
            if trace:
                from cascade.adapters.trace_context import call_within  # noqa: PLC0415 - brings OpenTelemetry

                value = call_within(trace, lambda: _value(task, args, kwargs))
            else:
                value = _value(task, args, kwargs)
        except BaseException as error:  # noqa: BLE001 - raised again in the parent
            return _raised(error)
        try:
            if luggage is not None and luggage.results is not None:
                from cascade.adapters.values.made_values import told_result  # noqa: PLC0415 - brings codecs

                return ReplyKind.DONE, told_result(luggage.results, value, _dumped)
            return ReplyKind.DONE, _dumped(value)
        except BaseException as error:  # noqa: BLE001 - as for arguments
            return ReplyKind.REFUSED, pack_failure(report_of(error, 1), "the result")

    def _send(self, given_back: Sequence[int] = ()) -> None:
        for stream in (sys.stdout, sys.stderr):
            _flush(stream)
        heads = b"".join([head for head, _ in self._ended])
        bodies = b"".join([body for _, body in self._ended])  # of one large result no copy is made
        self._ended.clear()
        reply = ChunkReply(heads, self._under_way, given_back, self._is_over, time.monotonic())
        self._channel.send_bytes(pickle.dumps(tuple(reply)))
        self._channel.send_bytes(bodies)
        self._record.clear()


def _dumped(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def _cut(payload: bytes, sizes: Sequence[int]) -> list[memoryview]:
    cut, start = [], 0
    view = memoryview(payload)
    for size in sizes:
        cut.append(view[start : start + size])
        start += size
    return cut


def _raised(error: BaseException) -> tuple[ReplyKind, bytes]:
    return ReplyKind.RAISED, pack_failure(report_of(error, 1), exception=_encoded(error))


def _value(task: AnyTask, args: Any, kwargs: Any) -> Any:
    value = task.func(*args, **kwargs)
    if type(value) not in _PLAIN and inspect.isawaitable(value) and not isinstance(value, StandsForValue):
        return OPEN_HERE.awaited(value)
    return value


def _encoded(error: BaseException) -> bytes:
    try:
        return encode_exception(error)
    except BaseException:  # noqa: BLE001 - what stands for it is its text
        return b""


def _flush(stream: Any) -> None:
    with contextlib.suppress(Exception):  # closed or replaced by the task: its own affair
        stream.flush()
