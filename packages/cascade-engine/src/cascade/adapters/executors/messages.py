"""Messages between a process and its workers.

Each message is a header of plain data, and then bytes with the user's objects. So whatever these do when they are
unpickled, the header was read before.
"""

from __future__ import annotations

import traceback
from enum import Enum
from typing import NamedTuple

from cascade.adapters.executors.locations import Location
from cascade.spec.calls.error_text import message_of


class Setup(NamedTuple):
    """What a worker has to know before its first call: its parent's process id, arguments and modules."""

    parent: int
    argv: list[str]
    main: Location | None
    modules: dict[str, Location]


class Request(NamedTuple):
    """Load a task; with `is_call`, call it with the arguments in the bytes that follow."""

    module: str
    qualname: str
    is_call: bool = False


class ReplyKind(Enum):
    """How a request has ended."""

    DONE = "done"  # a task is loaded, or a call has given the value behind
    RAISED = "raised"  # the task has raised the exception behind; no bytes if it could not be pickled
    REFUSED = "refused"  # something could not be sent
    NOT_LOADED = "not loaded"
    UNGUARDED = "unguarded"


class ErrorReport(NamedTuple):
    """An exception as text: its type with the module, its message, its traceback."""

    kind: str
    text: str
    trace: str


class Reply(NamedTuple):
    """The answer to a request. `error` says why it failed; `what` names the part that was refused."""

    kind: ReplyKind
    error: ErrorReport | None = None
    what: str = ""


def report_of(error: BaseException, skip: int = 0) -> ErrorReport:
    """Return an exception as text, without the first `skip` frames of its traceback.

    Never raises: whatever the exception's own methods do, it is caught here.
    """
    cls = type(error)
    return ErrorReport(
        f"{cls.__module__}.{cls.__qualname__}".removeprefix("builtins."),
        message_of(error),
        _trace(error, skip),
    )


def _trace(error: BaseException, skip: int) -> str:
    try:
        if error.__cause__ is None and (error.__context__ is None or error.__suppress_context__):
            return "".join(traceback.format_tb(error.__traceback__)[skip:]).rstrip()
        return "".join(traceback.format_exception(error)).rstrip()
    except BaseException:  # noqa: BLE001 - as above, from any exception in the chain
        return ""
