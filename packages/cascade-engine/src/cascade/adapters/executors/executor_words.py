"""Executors by word: `inline`, `threads`, `threads:8`, `processes`, `processes:8`."""

from __future__ import annotations

from collections.abc import Callable

from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.spec.errors import SpecError
from cascade.spec.policies.mode import Mode

COUNTED: dict[str, Callable[[int | None], LocalExecutor]] = {
    "threads": lambda count: LocalExecutor(Mode.THREAD, threads=count),
    "processes": ProcessExecutor,
}
"""The executors that have workers, by word; a number after a colon says how many."""

_COUNTED_FORMS = [form for word in COUNTED for form in (f"'{word}'", f"'{word}:8'")]
EXECUTOR_FORMS = ", ".join(["'inline'", *_COUNTED_FORMS[:-1]]) + f" or {_COUNTED_FORMS[-1]}"


def executor_from_word(word: str) -> LocalExecutor:
    """Return the executor that a word names; the caller closes it.

    Raises:
        SpecError: If it names none; it lists those that there are.
    """
    kind, colon, number = word.partition(":")
    if word == "inline":
        return LocalExecutor()
    count = int(number) if number.isascii() and number.isdecimal() and len(number) < 6 else 0
    if kind in COUNTED and (count or not colon):
        return COUNTED[kind](count or None)
    raise SpecError(f"executor={word!r} is not a known executor", f"write {EXECUTOR_FORMS}, or give one")
