"""Messages between a process and its workers.

Each message is a header of plain data, and then bytes with the user's objects, each call's by themselves. So whatever
these do when they are unpickled, the header was read before, and the calls beside it are not touched.
"""

from __future__ import annotations

import pickle
import struct
import traceback
from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from cascade.adapters.executors.worker_processes.locations import Location
from cascade.adapters.travelling.luggage import Luggage
from cascade.spec.calls.error_text import message_of


class Setup(NamedTuple):
    """What a worker has to know before its first call: its parent's process id, arguments and modules."""

    parent: int
    argv: list[str]
    main: Location | None
    modules: dict[str, Location]


class Request(NamedTuple):
    """Load a task; with `sizes`, call it with each of the arguments in the bytes that follow.

    `facts` are those of each call, as the fields of a `CallFacts`; `luggage` is that of all of them.
    """

    module: str
    qualname: str
    sizes: Sequence[int] = ()
    facts: Sequence[tuple[Any, ...]] = ()
    luggage: Luggage | None = None


class ReplyKind(Enum):
    """How a request has ended."""

    DONE = "done"  # a task is loaded, or a call has given a value
    RAISED = "raised"
    REFUSED = "refused"  # something could not be sent
    NOT_LOADED = "not loaded"
    UNGUARDED = "unguarded"


class ErrorReport(NamedTuple):
    """An exception as text: its type with the module, its message, its traceback."""

    kind: str
    text: str
    trace: str


class Reply(NamedTuple):
    """The answer to a request, if no call of it begins. `error` says why; `what` names a file."""

    kind: ReplyKind
    error: ErrorReport | None = None
    what: str = ""


class ChunkReply(NamedTuple):
    """What has happened to a chunk since the last such answer; more follow if it is not the last one.

    `heads` are packed by `END`, one for each call that has ended. The bytes that follow are what they gave, in the same
    order: the pickled value, or what `pack_failure` made. `sent` is the time here when it was sent.
    """

    heads: bytes
    under_way: int | None
    given_back: Sequence[int]
    is_last: bool
    sent: float


END = struct.Struct("<qBddq")
"""Position in the chunk, place of the kind in `END_KINDS`, when the call began and ended, size of the bytes."""

END_KINDS = (ReplyKind.DONE, ReplyKind.RAISED, ReplyKind.REFUSED)


def pack_failure(error: ErrorReport, what: str = "", exception: bytes = b"") -> bytes:
    """Return the bytes of a call that failed: what of it was refused, or the exception as bytes, if it could be."""
    return pickle.dumps((tuple(error), what, exception), pickle.HIGHEST_PROTOCOL)


def unpack_failure(body: bytes | memoryview) -> tuple[ErrorReport, str, bytes]:
    """Return what was given to `pack_failure`: nothing of the user's is unpickled here."""
    error, what, exception = pickle.loads(body)
    return ErrorReport(*error), what, exception


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
