"""Words: the members of a fixed set that users write as text, such as `mode="thread"`.

Every error about a wrong word lists the right ones, and all of them do so here.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import TypeVar

from cascade.spec.errors import PolicyError, SpecError

Word = TypeVar("Word", bound=StrEnum)


def parse_word(words: type[Word], what: str, given: object, error: type[SpecError] = PolicyError) -> Word:
    """Return the member of `words` that `given` is, or whose text it is; `what` names the argument in the error.

    Raises:
        SpecError: If it is none of them; of the class that `error` names, with all words in it.
    """
    try:
        return words(given)  # type: ignore[arg-type]  # the error for what is no text is the same
    except ValueError:
        raise error(f"unknown {what} {given!r}", f"use one of {listed(words_of(words))}") from None


def words_of(words: type[Enum]) -> tuple[str, ...]:
    """Return the texts of a set of words, in the order in which they are written down."""
    return tuple(each.value for each in words)


def listed(words: Iterable[str]) -> str:
    """Return words as an error lists them: `'inline', 'thread', 'process'`."""
    return ", ".join(map(repr, words))
