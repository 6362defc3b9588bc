"""Where a plain `def` runs."""

from __future__ import annotations

from enum import StrEnum

from cascade.spec.inputs.words import parse_word


class Mode(StrEnum):
    """Where a plain `def` runs: in the loop's thread, in a thread of its own, or in another process."""

    INLINE = "inline"
    THREAD = "thread"
    PROCESS = "process"


def parse_mode(mode: str | Mode) -> Mode:
    """Return the `Mode` of that name.

    Raises:
        PolicyError: If there is none; it lists them.
    """
    return parse_word(Mode, "mode", mode)
