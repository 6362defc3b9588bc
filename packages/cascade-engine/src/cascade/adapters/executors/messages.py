"""Messages between a process and its workers: each is a header of plain data, then bytes with a user's objects."""

from __future__ import annotations

import traceback
from enum import Enum
from typing import NamedTuple

from cascade.adapters.executors.locations import Location
from cascade.spec.error_text import message_of


class Setup(NamedTuple):
    """What a worker is to know before its first call."""

    parent: int
    argv: list[str]
    main: Location | None
    modules: dict[str, Location]


class Request(NamedTuple):
    """A task that is to be loaded; or called, with the arguments in the bytes behind."""

    module: str
    qualname: str
    is_call: bool = False


class Kind(Enum):
    """What became of a request."""

    DONE = "done"  # a task is loaded, or a call has given the value behind
    RAISED = "raised"  # the task has raised the exception behind; no bytes if it could not be pickled
    REFUSED = "refused"  # something could not be sent
    NOT_LOADED = "not loaded"
    UNGUARDED = "unguarded"


class Told(NamedTuple):
    """An exception as text: its type with the module, what it says, the traceback."""

    kind: str
    text: str
    trace: str


class Reply(NamedTuple):
    """The answer to a request; `what` says what was refused."""

    kind: Kind
    told: Told | None = None
    what: str = ""


def tell(error: BaseException, skip: int = 0) -> Told:
    """Return an exception as text, without the first frames of its traceback. Nothing that it does gets out of here."""
    cls = type(error)
    return Told(
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
