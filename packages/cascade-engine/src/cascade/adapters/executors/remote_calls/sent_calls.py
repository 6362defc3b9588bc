"""Calls as the process sees them that has them made on a cluster: encoded one by one, and so decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cascade.adapters.executors.boundary_errors import WorkerLoadError
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.adapters.executors.remote_calls.call_reports import ToldEnd, report_from
from cascade.adapters.executors.remote_calls.call_requests import ALL_STAY, CallRequest, TaskCodes
from cascade.adapters.executors.remote_calls.cloud_pickling import HandlePlaces, decode, encode_arguments
from cascade.adapters.executors.remote_calls.remote_handles import RemoteHandle
from cascade.adapters.executors.worker_processes.locations import reference_here
from cascade.adapters.executors.worker_processes.messages import ReplyKind, report_of, unpack_failure
from cascade.adapters.executors.worker_processes.told_failures import failure_of, refusal
from cascade.adapters.travelling.luggage import Luggage
from cascade.spec.task import AnyTask


class Sending(NamedTuple):
    """How calls are sent: for how long a worker may begin another one, and from which size on a value stays."""

    seconds: float
    staying_size: int | None


class DeadCall(NamedTuple):
    """The call at `position` of a request, with which its worker has died."""

    position: int
    error: BaseException


class SentCalls:
    """Calls of one task, as one request. `refused` are the ends of those of which an argument can't be sent.

    `handles` are those in the arguments: the cluster brings their values to the worker. `request` is `None` if no call
    can be sent.
    """

    def __init__(
        self,
        task: AnyTask,
        calls: Sequence[ChunkCall],
        codes: TaskCodes,
        sending: Sending,
        luggage: Luggage | None = None,
    ) -> None:
        self.task = task
        self.refused: list[CallEnd] = []
        self.request: CallRequest | None = None
        places = HandlePlaces()
        arguments: list[bytes] = []
        facts: list[tuple[Any, ...]] = []
        self._indices: list[int] = []
        for index, call in enumerate(calls):
            try:
                arguments.append(encode_arguments(call.args, call.kwargs, places))
            except BaseException as error:  # noqa: BLE001 - a user's object may do anything
                self._refuse(index, _culprit(task, call), error)
            else:
                facts.append(tuple(call.facts))
                self._indices.append(index)
        self.handles: Sequence[RemoteHandle] = places.handles
        if not arguments:
            return
        try:
            code = codes.code_of(task, facts[0])
        except BaseException as error:  # noqa: BLE001 - as above
            for index in self._indices:
                self._refuse(index, "the code", error)
        else:
            self.request = CallRequest(code, facts, arguments, *sending, luggage)

    def _refuse(self, index: int, what: str, error: BaseException) -> None:
        now = time.monotonic()
        self.refused.append(CallEnd(index, None, refusal(self.task, what, report_of(error)), now, now, ""))

    def only(self, position: int) -> bytes:
        """Return a request for one of the calls alone, whose value stays in any case."""
        request = self.request
        assert request is not None
        facts, arguments = [request.facts[position]], [request.arguments[position]]
        return request._replace(facts=facts, arguments=arguments, staying_size=ALL_STAY).as_bytes()

    def progress(
        self, report: bytes, stay: Callable[[int], RemoteHandle], died: DeadCall | None = None
    ) -> Progress:
        """Return what a report tells. `stay` makes the handle of the value that has stayed."""
        told = report_from(report)
        # Clocks of two machines have nothing in common, but nothing is sent before its time.
        shift = time.monotonic() - told.sent
        ends = [self._end(each, stay, shift, told.worker) for each in told.ends]
        if died is not None:
            now = time.monotonic()
            ends.append(CallEnd(self._indices[died.position], None, died.error, now, now, told.worker))
        return Progress(ends, None, self._indices[len(ends) :])

    def failure(self, error: BaseException) -> Progress:
        """Return that all calls have failed: it is not known which of them have begun."""
        now = time.monotonic()
        return Progress([CallEnd(index, None, error, now, now, "") for index in self._indices])

    def _end(self, told: ToldEnd, stay: Callable[[int], RemoteHandle], shift: float, worker: str) -> CallEnd:
        value: object = None
        error: BaseException | None = None
        if told.kind is not ReplyKind.DONE:
            error = self._failure(told.kind, told.body or b"")
        elif told.body is None:
            value = stay(told.position)
        else:
            try:
                value = decode(told.body)
            except BaseException as problem:  # noqa: BLE001 - a user's object may do anything
                error = refusal(self.task, "the result", report_of(problem))
        return CallEnd(
            self._indices[told.position], value, error, told.began + shift, told.ended + shift, worker
        )

    def _failure(self, kind: ReplyKind, body: bytes) -> BaseException:
        if kind is not ReplyKind.NOT_LOADED:
            return failure_of(self.task, kind, body, decode)
        report = unpack_failure(body)[0]
        reference = str(reference_here(self.task))
        return WorkerLoadError(self.task.name, reference, f"{report.kind}: {report.text}", report.trace)


def _culprit(task: AnyTask, call: ChunkCall) -> str:
    """Return which argument can't be pickled."""
    given: list[tuple[int | str, object]] = [*enumerate(call.args), *call.kwargs.items()]
    for argument, value in given:
        try:
            encode_arguments((value,), {}, HandlePlaces())
        except BaseException:  # noqa: BLE001 - as above
            return f"argument '{task.parameter_at(argument)}'"
    return "an argument"
