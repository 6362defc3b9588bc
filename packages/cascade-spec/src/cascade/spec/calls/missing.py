"""`MISSING`: no value given, where `None` is a value like any other."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Missing(Enum):
    """The type of `MISSING`, so that type checkers can tell it from values."""

    MISSING = "missing"

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing.MISSING
