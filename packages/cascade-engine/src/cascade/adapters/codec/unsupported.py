"""Refusals: why a value can't be data, and what the user can do.

Who finds that out knows only the value. Who knows its place in the whole adds that, and tells the user.
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
