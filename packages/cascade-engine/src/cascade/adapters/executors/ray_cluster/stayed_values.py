"""Values as Ray keeps them for us: bytes that we have encoded, and large buffers beside them.

Ray has a pickler of its own, which knows nothing of tasks that have come by value. So it gets bytes, and what they
stand for is made in a place where an error is told as that of a call.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, overload

from cascade.adapters.executors.remote_calls.cloud_pickling import (
    Buffer,
    decode_with_buffers,
    encode_with_buffers,
)


class StayedValue:
    """A value in Ray's object store. Its buffers lie there as they are: workers on that machine share them."""

    __slots__ = ("_buffers", "_head")

    def __init__(self, head: Buffer, buffers: Sequence[Buffer]) -> None:
        self._head = head
        self._buffers = buffers

    def __reduce__(self) -> tuple[Any, ...]:
        return StayedValue, (
            pickle.PickleBuffer(self._head),
            [pickle.PickleBuffer(each) for each in self._buffers],
        )

    def shared(self) -> Any:
        """Return the value; its buffers are the ones in the store, and can't be written.

        Raises:
            BaseException: Whatever a user's class raises when its objects are made.
        """
        return decode_with_buffers(self._head, self._buffers)

    def copied(self) -> Any:
        """Return the value with buffers of its own, so that it outlives the store; see `shared`."""
        return decode_with_buffers(self._head, [bytearray(each) for each in self._buffers])


def stayed(value: object) -> StayedValue:
    """Return what Ray keeps of a value.

    Raises:
        BaseException: Whatever a user's object raises, among it that it can't be pickled.
    """
    buffers: list[pickle.PickleBuffer] = []
    return StayedValue(encode_with_buffers(value, buffers.append), buffers)


_UNCHANGING = frozenset({bytes, str})


class SharedValues(Sequence[object]):
    """The values of the handles in the arguments of a request. Each is made when a call asks for it, for that call."""

    def __init__(self, kept: Sequence[StayedValue]) -> None:
        self._kept = kept
        self._made: dict[int, object] = {}

    def renew(self) -> None:
        """Take in that a call is over: what it may have changed is made again for the next one."""
        self._made = {place: value for place, value in self._made.items() if type(value) in _UNCHANGING}

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, place: int) -> object: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[object]: ...

    def __getitem__(self, place: int | slice) -> object:
        if isinstance(place, slice):
            return [self[each] for each in range(len(self))[place]]
        if place not in self._made:
            self._made[place] = self._kept[place].shared()
        return self._made[place]
