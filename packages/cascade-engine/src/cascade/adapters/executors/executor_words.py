"""Executors by word: `inline`, `threads`, `threads:8`, `processes`, `processes:8`."""

from __future__ import annotations

from cascade.adapters.executors.local import LocalExecutor
from cascade.spec.errors import SpecError
from cascade.spec.policies.mode import Mode

EXECUTOR_FORMS = "'inline', 'threads', 'threads:8', 'processes' or 'processes:8'"


def executor_from_word(word: str) -> LocalExecutor:
    """Return the executor that a word names; who asks for it closes it.

    Raises:
        SpecError: If it names none; it lists those that there are.
    """
    kind, colon, number = word.partition(":")
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0
    if count or not colon:
        match kind:
            case "threads":
                return LocalExecutor(Mode.THREAD, threads=count or None)
            case "processes":
                return LocalExecutor(Mode.PROCESS, processes=count or None)
            case "inline" if not colon:
                return LocalExecutor()
    raise SpecError(f"executor={word!r} is not a known executor", f"write {EXECUTOR_FORMS}, or give one")
