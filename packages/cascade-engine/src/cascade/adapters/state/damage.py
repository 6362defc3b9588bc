"""Damage: whatever is wrong with the stored data of a run becomes one error, which says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import CascadeError, DamagedDataError, RunDamagedError

FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""The errors of code that expects sound data and gets damaged data."""


@contextmanager
def checking(store: str, run_id: str, advice: str = "") -> Iterator[None]:
    """Raise faults in the stored data of a run as a `RunDamagedError`, with `advice` in its text."""
    try:
        yield
    except FAULTS as problem:
        raise as_damage(problem, store, run_id, advice) from problem


def as_damage(problem: BaseException, store: str, run_id: str, advice: str = "") -> CascadeError:
    """Return the error for a fault. An error that says itself what to do, such as a `CodecError`, stays as it is."""
    if isinstance(problem, DamagedDataError):
        reason = problem.problem
    elif isinstance(problem, CascadeError):
        return problem
    else:
        reason = error_text(problem)
    message = (
        f"facts of the run '{run_id}' are missing or damaged; begin anew with restart=True{advice} ({reason})"
    )
    return RunDamagedError(store, message, run_id)
