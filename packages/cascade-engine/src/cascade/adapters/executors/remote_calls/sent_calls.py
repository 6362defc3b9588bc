"""Calls as the process sees them that has them made on a cluster: encoded one by one, and so decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cascade.adapters.executors.boundary_errors import IN_A_THREAD, WorkerLoadError
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress
from cascade.adapters.executors.remote_calls.call_reports import ToldEnd, report_from
from cascade.adapters.executors.remote_calls.call_requests import CallRequest, Chain, TaskCode, TaskCodes
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
    """Calls of one task, or a chain, as one request. `tasks` has one task for all, or one for each call of a chain.

    `refused` are the ends of those of which something can't be sent. `handles` are those in the arguments: the cluster
    brings their values to the worker. `request` is `None` if no call can be sent.
    """

    def __init__(
        self,
        tasks: Sequence[AnyTask],
        calls: Sequence[ChunkCall],
        codes: TaskCodes,
        sending: Sending,
        luggage: Luggage | None = None,
    ) -> None:
        self._tasks = tasks
        self._is_chain = len(tasks) > 1
        self.refused: list[CallEnd] = []
        self.request: CallRequest | None = None
        places = HandlePlaces()
        arguments: list[bytes] = []
        self._indices: list[int] = []
        for index, call in enumerate(calls):
            try:
                arguments.append(encode_arguments(call.args, call.kwargs, places))
            except BaseException as error:  # noqa: BLE001 - a user's object may do anything
                self._refuse(index, _culprit(self._task_of(index), call), error)
                if self._is_chain:
                    break  # those after it take what it would have given
            else:
                self._indices.append(index)
        self.handles: Sequence[RemoteHandle] = places.handles
        sent = self._codes(codes, calls) if arguments else None
        if sent is not None:
            facts = [tuple(calls[index].facts) for index in self._indices]
            self.request = CallRequest(sent.codes, facts, arguments, *sending, luggage, sent.chain)

    def _task_of(self, index: int) -> AnyTask:
        return self._tasks[index if self._is_chain else 0]

    def _codes(self, codes: TaskCodes, calls: Sequence[ChunkCall]) -> _SentCodes | None:
        """Return the code of the tasks, as far as it can be sent."""
        found: dict[TaskCode, int] = {}
        tasks: list[int] = []
        for index in [*self._indices] if self._is_chain else self._indices[:1]:
            try:
                code = codes.code_of(self._task_of(index), calls[index].facts)
            except BaseException as error:  # noqa: BLE001 - as above
                # The others of a chain take what this one would have given.
                refused = [index] if self._is_chain else [*self._indices]
                self._indices = self._indices[: len(tasks)]
                for each in refused:
                    self._refuse(each, "the code", error)
                break
            tasks.append(found.setdefault(code, len(found)))
        if not tasks:
            return None
        return _SentCodes([*found], Chain(tasks) if self._is_chain else None)

    def _refuse(self, index: int, what: str, error: BaseException) -> None:
        now = time.monotonic()
        task = self._task_of(index)
        problem = refusal(task, what, report_of(error), remedy_of(task))
        self.refused.append(CallEnd(index, None, problem, now, now, ""))

    def only(self, position: int, report: bytes) -> bytes:
        """Return a request for one of the calls alone, whose value stays in any case.

        `report` tells what came of all.
        """
        request = self.request
        assert request is not None
        earlier = [each.body or b"" for each in report_from(report).ends[:position]] if self._is_chain else []
        return request.only(position, earlier).as_bytes()

    def progress(
        self, report: bytes, stay: Callable[[int], RemoteHandle], died: DeadCall | None = None
    ) -> Progress:
        """Return what a report tells. `stay` makes the handle of the value that has stayed.

        Calls that are not among it have not begun.
        """
        told = report_from(report)
        # Clocks of two machines have nothing in common, but nothing is sent before its time.
        shift = time.monotonic() - told.sent
        ends = [self._end(each, stay, shift, told.worker) for each in told.ends]
        if died is not None:
            now = time.monotonic()
            ends.append(CallEnd(self._indices[died.position], None, died.error, now, now, told.worker))
        return Progress(ends, None, self._indices[len(ends) :])

    def failure(self, error: BaseException) -> Progress:
        """Return that all calls have failed: it is not known which of them have begun.

        Of a chain it is the first: the others have nothing to take.
        """
        now = time.monotonic()
        failed = self._indices[:1] if self._is_chain else self._indices
        return Progress([CallEnd(index, None, error, now, now, "") for index in failed])

    def _end(self, told: ToldEnd, stay: Callable[[int], RemoteHandle], shift: float, worker: str) -> CallEnd:
        value: object = None
        error: BaseException | None = None
        if told.kind is not ReplyKind.DONE:
            error = self._failure(self._task_at(told.position), told.kind, told.body or b"")
        elif told.body is None:
            value = stay(told.position)
        else:
            try:
                value = decode(told.body)
            except BaseException as problem:  # noqa: BLE001 - a user's object may do anything
                task = self._task_at(told.position)
                error = refusal(task, "the result", report_of(problem), remedy_of(task))
        return CallEnd(
            self._indices[told.position], value, error, told.began + shift, told.ended + shift, worker
        )

    def _task_at(self, position: int) -> AnyTask:
        return self._task_of(self._indices[position])

    @staticmethod
    def _failure(task: AnyTask, kind: ReplyKind, body: bytes) -> BaseException:
        if kind is not ReplyKind.NOT_LOADED:
            return failure_of(task, kind, body, decode, remedy_of(task))
        report = unpack_failure(body)[0]
        reference = str(reference_here(task))
        return WorkerLoadError(task.name, reference, f"{report.kind}: {report.text}", report.trace)


class _SentCodes(NamedTuple):
    """The code of the tasks of a request, and what makes it a chain if it is one."""

    codes: Sequence[TaskCode]
    chain: Chain | None


def remedy_of(task: AnyTask) -> str:
    """Return how a call that a cluster makes is made in the process of the run: `on=` counts before any mode."""
    if task.on is None:
        return IN_A_THREAD
    without = f"leave on={task.on!r} out"
    return without if task.is_async else f"{without} and {IN_A_THREAD}"


def _culprit(task: AnyTask, call: ChunkCall) -> str:
    """Return which argument can't be pickled."""
    given: list[tuple[int | str, object]] = [*enumerate(call.args), *call.kwargs.items()]
    for argument, value in given:
        try:
            encode_arguments((value,), {}, HandlePlaces())
        except BaseException:  # noqa: BLE001 - as above
            return f"argument '{task.parameter_at(argument)}'"
    return "an argument"
