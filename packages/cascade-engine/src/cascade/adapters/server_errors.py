"""What becomes of the errors of a server's client: the same for each kind of server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import CascadeError, StoreError

ANSWER_SECONDS = 4.0
"""How long a server may take to answer: an error has to be raised within 5 seconds."""

Errors = tuple[type[Exception], ...]


@contextmanager
def server_errors(
    address: str, timeouts: Errors, failures: Errors, secrets: Sequence[str] = ()
) -> Iterator[None]:
    """Raise the errors of a client as a `StoreError` that names the server's address, without these `secrets`.

    Raises:
        StoreError: If the server has not answered in time, by one of `timeouts`, or the client has raised a failure.
    """
    try:
        yield
    except CascadeError:
        raise
    except timeouts as problem:
        raise StoreError(address, f"the server does not answer within {ANSWER_SECONDS:g} s") from problem
    except failures as problem:
        told = error_text(problem)
        for secret in secrets:
            told = told.replace(secret, "***")
        raise StoreError(address, told) from (None if secrets else problem)
