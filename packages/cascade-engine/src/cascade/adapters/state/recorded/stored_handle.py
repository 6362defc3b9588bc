"""Stored handles: large values of a recorded run that lie in its value store and were not read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cascade.adapters.executors.handles import Handle
from cascade.adapters.values.value_pointer import ValuePointer

if TYPE_CHECKING:
    from cascade.adapters.values.stored_arguments import StoredArgument


class ValueReader:
    """Reads the values of one run; see `RunValues`."""

    async def read(self, pointer: ValuePointer) -> object:
        """Return the value that a pointer leads to.

        Raises:
            RunDamagedError: If it is missing or damaged.
            StoreError: If it can't be read.
        """
        raise NotImplementedError

    def argument(self, pointer: ValuePointer) -> StoredArgument:
        """Return what stands for the value in the arguments of a call that a worker makes."""
        raise NotImplementedError


class StoredHandle(Handle):
    """Stands for a value in the value store of a run. `owner` is the executor whose worker has put it there, if known.

    A call that another process makes gets what `argument` returns: its worker reads the value itself.
    """

    __slots__ = ("_reader", "pointer")

    def __init__(self, reader: ValueReader, pointer: ValuePointer, owner: object, task: str) -> None:
        super().__init__(owner, task, pointer.name)
        self._reader = reader
        self.pointer = pointer

    async def fetch(self) -> object:
        return await self._reader.read(self.pointer)

    def argument(self) -> StoredArgument:
        """Return what stands for the value in the arguments of a call that a worker makes."""
        return self._reader.argument(self.pointer)
