"""Refusals: why a value can't be data, and what the user can do.

Code that refuses a value may not know where it is in the whole. The writer knows, and makes a `CodecError` of it.
"""

from __future__ import annotations

from cascade.spec.calls.missing import MISSING

SECRET = "secrets are never stored: store what was made with it, not the secret"
LAZY = "store its value: pass it to a task, or return it by itself and it stands for its value"


class UnsupportedError(Exception):
    """A class or a value that no codec stores; `remedy` says what to do.

    `culprit` is the value at fault, if that is not the value that was looked at.
    """

    def __init__(self, remedy: str, culprit: object = MISSING) -> None:
        super().__init__(remedy)
        self.remedy = remedy
        self.culprit = culprit
