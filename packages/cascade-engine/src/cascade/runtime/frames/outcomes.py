"""Outcomes: how a call ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Returned:
    """The call was made and gave this, perhaps a lazy result."""

    value: object


@dataclass(frozen=True, slots=True)
class Known:
    """The value was there and the call not made."""

    value: object


@dataclass(frozen=True, slots=True)
class Failed:
    """The call raised this, or could not be made because of it."""

    error: BaseException


Outcome = Returned | Known | Failed
