"""Stored arguments: stand in the arguments of a call for values that its worker is to read from the value store."""

from __future__ import annotations

from collections.abc import Callable

from cascade.adapters.values.made_values import place_of
from cascade.adapters.values.value_pointer import ValuePointer, get_value
from cascade.spec.errors import DamagedDataError


class StoredArgument:
    """Stands for a value in arguments that are pickled for a worker: who unpickles it has the value itself.

    `place` is the packed `ResultPlace` of the run whose value it is.
    """

    __slots__ = ("place", "pointer")

    def __init__(self, place: bytes, pointer: ValuePointer) -> None:
        self.place = place
        self.pointer = pointer

    def __repr__(self) -> str:
        return f"<the value {self.pointer.name}>"

    def __reduce__(self) -> tuple[Callable[[bytes, ValuePointer], object], tuple[bytes, ValuePointer]]:
        return read_argument, (self.place, self.pointer)


def read_argument(place: bytes, pointer: ValuePointer) -> object:
    """Return the value that a stored argument stands for; called in the worker.

    Raises:
        DamagedDataError: If it is missing, or is not what was put there, or this worker can't open the store.
        StoreError: If it can't be read.
        CodecError: If it can't be decoded here.
    """
    known = place_of(place)
    if known is None:
        raise DamagedDataError("this worker can't load the value store or the codec of the run")
    return known.codec.decode(get_value(known.store, pointer), key=pointer.key or known.key)
