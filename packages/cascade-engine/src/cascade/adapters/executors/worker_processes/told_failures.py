"""What another process told of a call that failed there, as the exception that is raised here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cascade.adapters.executors.boundary_errors import IN_A_THREAD, BoundaryError, RemoteError
from cascade.adapters.executors.worker_processes.messages import ErrorReport, ReplyKind, unpack_failure
from cascade.spec.calls.error_text import add_note
from cascade.spec.task import AnyTask


def failure_of(
    task: AnyTask,
    kind: ReplyKind,
    body: bytes | memoryview,
    decode: Callable[[bytes], Any],
    remedy: str = IN_A_THREAD,
) -> BaseException:
    """Return the exception of a call that was refused, or that has raised; `decode` turns its bytes into an object.

    `remedy` says how the call could be made here.
    """
    report, what, exception = unpack_failure(body)
    if kind is ReplyKind.REFUSED:
        return refusal(task, what, report, remedy)
    return _noted(_exception(task, report, exception, decode), report.trace)


def refusal(task: AnyTask, what: str, report: ErrorReport, remedy: str = IN_A_THREAD) -> BaseException:
    """Return that something of a call could not be sent: `what` says which, `report` why."""
    return _noted(BoundaryError(task.name, what, *report, remedy=remedy), report.trace)


def _exception(
    task: AnyTask, report: ErrorReport, body: bytes, decode: Callable[[bytes], Any]
) -> BaseException:
    try:
        error = decode(body) if body else None
    except BaseException:  # noqa: BLE001 - a user's object may do anything
        error = None
    return error if isinstance(error, BaseException) else RemoteError(task.name, *report)


def _noted(error: BaseException, trace: str) -> BaseException:
    """Add the traceback in the other process to an error, as a note: frames can't be sent."""
    if trace:
        add_note(error, f"in another process:\n{trace}")
    return error
