"""Handles: values that stay where they were made, on a worker of an executor."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NoReturn

from cascade.spec.errors import CascadeError
from cascade.spec.late_dataclasses import dataclass


@dataclass(eq=False)
class HandleLostError(CascadeError, RuntimeError):
    """A value that stayed on a worker is gone: the worker has ended, or has thrown it away.

    `task` and `place` name the node that gave it. `is_made_again` says that its executor makes such calls again.
    """

    task: str
    place: str
    problem: str
    is_made_again: bool = False

    def __str__(self) -> str:
        lost = f"the value of task '{self.task}' ({self.place}) is lost: {self.problem}"
        if self.is_made_again:
            return lost
        return f'{lost}; it is computed again if the executor is made with on_lost="rerun"'


@dataclass(eq=False)
class HandleUsedError(CascadeError, TypeError):
    """Something looks at a handle as if it were the value that it stands for."""

    task: str
    use: str

    def __str__(self) -> str:
        return f"the value of task '{self.task}' is on a worker: its handle has no {self.use}; fetch it first"


class Handle(ABC):
    """Stands for a value that stayed where it was made. `owner` is the executor that gave it.

    The engine passes it along to calls on the same executor, and fetches it where the value has to be looked at. It has
    no truth value, no length, no hash and no items, and equals nothing: who takes it for the value is told.
    """

    __slots__ = ("owner", "place", "task")

    def __init__(self, owner: object, task: str, place: str) -> None:
        self.owner = owner
        self.task = task
        self.place = place

    @abstractmethod
    async def fetch(self) -> object:
        """Bring the value here.

        Raises:
            HandleLostError: If it is gone.
        """

    def argument(self) -> object:
        """Return what stands for the value in the arguments of a call of a recorded run that a worker makes.

        Only a value in the value store has something that does: for all others this is the handle itself.
        """
        return self

    def _refuse(self, use: str) -> NoReturn:
        raise HandleUsedError(self.task, use)

    def __bool__(self) -> bool:
        self._refuse("truth value")

    def __len__(self) -> int:
        self._refuse("length")

    def __hash__(self) -> int:
        self._refuse("hash")

    def __iter__(self) -> NoReturn:
        self._refuse("items")

    def __eq__(self, other: object) -> bool:
        if self is not other:  # a list asks that of itself
            self._refuse("equality")
        return True

    def __repr__(self) -> str:
        return f"<handle of {self.task}>"

    def __reduce__(self) -> NoReturn:
        self._refuse("bytes")
