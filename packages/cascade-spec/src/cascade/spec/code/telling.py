"""Telling: describes all that a task's code reaches as plain data, of which its version is the digest.

Code, that is functions, classes and tasks, gets a number where it is first reached and is described once. Values are
described where they stand, so that it does not matter which of them are one object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from cascade.spec.errors import SourceMissingError

Told = object
"""Plain data that stands for something: strings, numbers, bytes, `None`, and tuples of these."""


Value: TypeAlias = Any
"""A value whose kind has been found out already, so that its attributes are known."""


class Reached(NamedTuple):
    """Code that was reached: itself, the class it is a member of, and whether text that is missing is excused."""

    value: Value
    owner: type | None
    is_excused: bool


class Teller:
    """Describes what one task reaches.

    `package` is the top-level package of the task. `is_private` says that a function closes over what can't be told,
    `is_partial` that something is read, by whatever way, that can't be told.
    """

    def __init__(self, task: str, package: str, is_excused: bool) -> None:
        self.task = task
        self.package = package
        self.is_private = False
        self.is_partial = False
        self.is_excused = is_excused  # of what is described at the moment
        self.reached: list[Reached] = []
        self._numbers: dict[int, int] = {}

    def code(self, value: object, owner: type | None = None) -> Told:
        """Return what stands for a piece of code; it is described later."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.reached)
            self.reached.append(Reached(value, owner, self.is_excused))
        return ("code", number)

    def unknown(self, closed_over: bool) -> Told:
        """Return what stands for a value that can't be told."""
        self.is_partial = True
        self.is_private = self.is_private or closed_over
        return ("not seen",)

    def missing_text(self, value: object) -> Told:
        """Return what stands for code whose text is not there.

        Raises:
            SourceMissingError: If no version was given by hand.
        """
        name = str(getattr(value, "__qualname__", value))
        if not self.is_excused:
            raise SourceMissingError(self.task, name)
        return ("no text", name)

    def all(self, describe: Callable[[Reached], Told]) -> list[Told]:
        """Return the descriptions of all code that was reached, in the order in which it was."""
        told = []
        for each in self.reached:  # it grows on the way
            self.is_excused = each.is_excused
            told.append(describe(each))
        return told
