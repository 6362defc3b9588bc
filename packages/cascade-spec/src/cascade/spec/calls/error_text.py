"""The text and the notes of an exception whose class the user or a library wrote.

Such an exception may refuse attributes, or raise from `__str__`, `__repr__` or `__class__`. These functions never raise
because of it. Every event, log line and record that shows an error gets its text here.
"""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TypeGuard, TypeVar

E = TypeVar("E", bound=BaseException)


def error_text(error: BaseException) -> str:
    """Return the class and the text of an exception; the class alone if the text is empty or can't be read."""
    name = error_name(error)
    try:
        text = str(error)
        return f"{name}: {str.__str__(text)}" if text else name
    except BaseException:  # noqa: BLE001 - `__str__` is the user's own code, and may raise whatever there is
        return name


def message_of(error: BaseException) -> str:
    """Return the text of an exception without its class; the class if the text is empty or can't be read."""
    try:
        return str.__str__(str(error)) or error_name(error)
    except BaseException:  # noqa: BLE001 - as above
        return error_name(error)


def notes_of(error: BaseException) -> list[str]:
    """Return the notes of an exception; none if its `__notes__` is no list."""
    try:
        notes: object = getattr(error, "__notes__", ())
        return [str.__str__(note) for note in notes if isinstance(note, str)] if type(notes) is list else []
    except BaseException:  # noqa: BLE001 - the attribute may be the user's own code
        return []


def add_note(error: BaseException, note: str) -> None:
    """Put a note on an exception; one that refuses it stays as it is."""
    with suppress(BaseException):  # a frozen dataclass refuses the attribute; `__notes__` may be no list
        BaseException.add_note(error, note)


def is_error(error: BaseException, kinds: type[E] | tuple[type[E], ...]) -> TypeGuard[E]:
    """Return whether an exception is of one of these classes, as `except` does, without reading its `__class__`."""
    return issubclass(type(error), kinds)


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception, also of one whose attributes can't be read."""
    trace: TracebackType | None = vars(BaseException)["__traceback__"].__get__(error)
    return trace


def put_traceback(error: BaseException, trace: TracebackType | None) -> None:
    """Set the traceback of an exception, also of one that refuses attributes."""
    BaseException.with_traceback(error, trace)


def error_name(error: BaseException) -> str:
    """Return the name of an exception's class; `BaseException` where that can't be read."""
    try:
        return str.__str__(type(error).__name__)
    except BaseException:  # noqa: BLE001 - a metaclass may be the user's own code
        return "BaseException"
