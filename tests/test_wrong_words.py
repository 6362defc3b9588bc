"""Words of fixed sets: whoever writes one that does not exist is told all that do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.state import Durability
from cascade.graph import Format, visualize
from cascade.runtime.settings import OnFailure, Resume
from cascade.spec import Mode, Scope
from cascade.spec.errors import CascadeError


@cs.task
def one() -> int:
    return 1


def _connection() -> Iterator[int]:
    yield 1


WRONG: Any = "wrong"
"""A wrong word, where types would refuse it."""

WORDS: list[tuple[type[StrEnum], Callable[[], object]]] = [
    (Mode, lambda: cs.task(mode=WRONG)(one.func)),
    (Scope, lambda: cs.resource(scope=WRONG)(_connection)),
    (Format, lambda: visualize(one(), WRONG)),
    (OnFailure, lambda: cs.run(one(), on_failure=WRONG)),
    (Resume, lambda: cs.run(one(), run_id="a", resume=WRONG)),
    (Durability, lambda: cs.run(one(), state="sqlite:///runs.db", durability=WRONG)),
]


@pytest.mark.parametrize(("words", "write"), WORDS, ids=[words.__name__ for words, _ in WORDS])
def test_the_error_for_a_wrong_word_lists_the_right_ones(
    words: type[StrEnum], write: Callable[[], object]
) -> None:
    """The error for a wrong word is a `CascadeError` that names it and lists all right ones, in their order."""
    with pytest.raises(CascadeError) as caught:
        write()
    listed = ", ".join(repr(each.value) for each in words)
    assert "'wrong'" in str(caught.value)
    assert str(caught.value).endswith(f"use one of {listed}")
