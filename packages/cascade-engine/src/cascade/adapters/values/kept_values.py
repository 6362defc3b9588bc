"""Large values of recorded runs and caches: which store they go to, from which size on, and the threads for that."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial

from cascade.adapters.values.value_pointer import OVER, ValuePointer, get_value, put_value
from cascade.adapters.values.value_store import ValueStore


class KeptValues:
    """A value store, and how large a value is that goes there: more than `over` bytes.

    The store is called in threads. So it never holds up the event loop.
    """

    def __init__(self, store: ValueStore, over: int = OVER) -> None:
        self.store = store
        self.over = over

    async def put(self, folder: str, data: bytes, *, safe: bool) -> ValuePointer:
        """Put a value; return the pointer to it.

        Raises:
            StoreError: If it can't be written.
        """
        return await asyncio.to_thread(put_value, self.store, folder, data, safe=safe)

    async def put_all(self, folder: str, values: Iterable[bytes]) -> list[ValuePointer]:
        """Put values at the same time; return when all of them are there, or none is being written any more.

        Raises:
            StoreError: If one can't be written.
        """
        puts = (self.put(folder, data, safe=True) for data in values)
        put = await asyncio.gather(*puts, return_exceptions=True)
        return [_checked(each) for each in put]

    async def get(self, pointer: ValuePointer) -> bytes:
        """Return the bytes that a pointer leads to.

        Raises:
            DamagedDataError: If they are missing, or are not what was put there.
            StoreError: If they can't be read.
        """
        return await asyncio.to_thread(get_value, self.store, pointer)

    async def names(self, folder: str) -> list[tuple[str, float, int]]:
        """Return the names below a folder, with the time and the size of each.

        Raises:
            StoreError: If they can't be listed.
        """
        return await asyncio.to_thread(lambda: [*self.store.names(folder)])

    async def delete(self, names: Iterable[str]) -> None:
        """Delete names, and folders with all below them."""
        await asyncio.to_thread(partial(_delete, self.store, [*names]))


def _checked(put: ValuePointer | BaseException) -> ValuePointer:
    if isinstance(put, BaseException):
        raise put
    return put


def _delete(store: ValueStore, names: list[str]) -> None:
    for name in names:
        store.delete(name)
