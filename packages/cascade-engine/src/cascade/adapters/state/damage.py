"""Damage: what goes wrong with what a store holds of a run is told as one error, which says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import CascadeError, DamagedDataError, RunDamagedError

FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What damaged data makes of code that expects sound data."""


@contextmanager
def checking(store: str, run_id: str, advice: str = "") -> Iterator[None]:
    """Tell whatever goes wrong with what a store holds of a run as a `RunDamagedError`; `advice` is added to it."""
    try:
        yield
    except FAULTS as problem:
        raise as_damage(problem, store, run_id, advice) from problem


def as_damage(problem: BaseException, store: str, run_id: str, advice: str = "") -> CascadeError:
    """Return what a fault is told as; what says of itself what is wrong and what to do stays as it is."""
    if isinstance(problem, DamagedDataError):
        reason = problem.problem
    elif isinstance(problem, CascadeError):
        return problem
    else:
        reason = error_text(problem)
    told = (
        f"facts of the run '{run_id}' are missing or damaged; begin anew with restart=True{advice} ({reason})"
    )
    return RunDamagedError(store, told, run_id)
