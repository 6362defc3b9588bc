"""Output: writes the result of a run to stdout, whatever the result is and whatever the terminal can show."""

from __future__ import annotations

import codecs
import dataclasses
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pprint import pformat

import typer

from cascade.cli.result_json import result_json
from cascade.spec import CascadeError
from cascade.spec.calls.error_text import error_text
from cascade.spec.late_dataclasses import dataclass


class ResultFormat(StrEnum):
    """How a result is printed: for people, or as one JSON value."""

    TEXT = "text"
    JSON = "json"


@dataclass(eq=False)
class ResultError(CascadeError, ValueError):
    """A result that can't be printed; the run itself has succeeded. `kind` is the type of the result."""

    kind: str
    problem: str

    def __str__(self) -> str:
        return f"the run has succeeded, and its result, of type {self.kind}, can't be printed: {self.problem}"


def print_result(value: object, form: ResultFormat) -> None:
    """Print a result. As text: strings as they are, containers over several lines, `None` not at all.

    Raises:
        ResultError: If code of the result fails, or it has no form in JSON.
    """
    if form is ResultFormat.TEXT and value is None:
        return
    try:
        text = result_json(value) if form is ResultFormat.JSON else _text(value)
    except Exception as error:  # noqa: BLE001 - the value's own code
        problem = str(error) if isinstance(error, CascadeError) else error_text(error)
        raise ResultError(type(value).__name__, problem) from None
    typer.echo(text)


def _text(value: object) -> str:
    laid_out = isinstance(value, (list, tuple, dict, set, frozenset, bytes)) or dataclasses.is_dataclass(
        value
    )
    return pformat(value, sort_dicts=False) if laid_out else str(value)


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Let stdout spell out characters that its encoding does not have, during a `with` block."""
    stream = sys.stdout
    reconfigure = getattr(stream, "reconfigure", None)
    before = getattr(stream, "errors", None)
    if reconfigure is None or before not in _FORGIVING:
        yield
        return
    reconfigure(errors=_FORGIVING[before])
    try:
        yield
    finally:
        reconfigure(errors=before)


def _bytes_or_spelt(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write the bytes of a file name that could not be decoded as they were, and spell all else out."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.backslashreplace_errors(error)


_BYTES_OR_SPELT = "cascade.bytes_or_spelt"
codecs.register_error(_BYTES_OR_SPELT, _bytes_or_spelt)

# Where the locale is C or POSIX, as in many containers, Python itself chooses "surrogateescape", which fails too.
_FORGIVING = {"strict": "backslashreplace", "surrogateescape": _BYTES_OR_SPELT}
