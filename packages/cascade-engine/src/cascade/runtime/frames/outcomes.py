"""Outcomes: how a call ended."""

from __future__ import annotations

from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Returned:
    """The call returned this value, which may be a lazy result."""

    value: object


@dataclass(frozen=True, slots=True)
class Known:
    """The value was in a cache, and the call was not made."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """The call raised this, or could not be made because of it."""

    error: BaseException


Outcome = Returned | Known | Failed
