"""Descriptions: what a task's code reaches, as plain data. The digest of this data is the code version.

A function, class or task gets a number where it is first reached, and is described once. A value is described wherever
it stands: it does not matter whether two equal values are one object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, TypeAlias

from cascade.spec.errors import SourceMissingError

Description = object
"""Plain data that describes something: strings, numbers, bytes, `None`, and tuples of these."""

Value: TypeAlias = Any
"""A value whose kind is known, and with it the attributes that it has."""


class Reached(NamedTuple):
    """Code that a task reaches.

    `owner` is the class that it is a member of. With `is_excused` its text may be missing: a version was given by hand.
    """

    value: Value
    owner: type | None
    is_excused: bool


class Describer:
    """Collects what one task reaches.

    `package` is the top-level package of the task. `is_partial` says that the task reads something that can't be
    described. `is_private` says that a function closes over such a thing.
    """

    def __init__(self, task: str, package: str, is_excused: bool) -> None:
        self.task = task
        self.package = package
        self.is_private = False
        self.is_partial = False
        self.is_excused = is_excused  # of what is described at the moment
        self.reached: list[Reached] = []
        self._numbers: dict[int, int] = {}

    def code(self, value: object, owner: type | None = None) -> Description:
        """Return a reference to a function or class, which is described later."""
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.reached)
            self.reached.append(Reached(value, owner, self.is_excused))
        return ("code", number)

    def unknown(self, closed_over: bool) -> Description:
        """Return the description of a value that can't be seen."""
        self.is_partial = True
        self.is_private = self.is_private or closed_over
        return ("not seen",)

    def missing_text(self, value: object) -> Description:
        """Return the description of code whose text is not there.

        Raises:
            SourceMissingError: If no version was given by hand.
        """
        name = str(getattr(value, "__qualname__", value))
        if not self.is_excused:
            raise SourceMissingError(self.task, name)
        return ("no text", name)

    def all(self, describe: Callable[[Reached], Description]) -> list[Description]:
        """Return the descriptions of all code that was reached, in the order in which it was reached."""
        described = []
        for each in self.reached:  # it grows on the way
            self.is_excused = each.is_excused
            described.append(describe(each))
        return described


class DescribesParts(Protocol):
    """What a row is given to describe the parts of a value."""

    @property
    def describer(self) -> Describer:
        """What collects the code that the task reaches."""

    @property
    def closed_over(self) -> bool:
        """Whether a function inside another one holds the value."""

    @property
    def aliases(self) -> tuple[object, ...]:
        """The type aliases that the value stands in."""

    def __call__(self, value: object) -> Description:
        """Return the description of a part."""

    def all(self, values: Iterable[object]) -> tuple[Description, ...]:
        """Return the description of each of some parts."""

    def inside_alias(self, alias: object) -> DescribesParts:
        """Return what describes the type that `alias` stands for."""
