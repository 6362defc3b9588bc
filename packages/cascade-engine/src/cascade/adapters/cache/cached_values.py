"""The large values of a cache in a value store.

Each cache has a folder of its own there, whose name it keeps in its own store, and in it a folder for each key. So a
value belongs to one entry, and no other cache or run points to it. It is there before its entry. An entry whose value
somebody has just removed is no hit, and is put again.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from secrets import token_hex

from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.value_pointer import ValuePointer, is_value_pointer
from cascade.spec.errors import DamagedDataError, StoreError

CACHES = "caches"
"""The folder of all caches in a value store."""

YOUNG_SECONDS = 3600.0
"""A value that no entry points to stays so long: its entry may be about to be written."""


class CachedValues:
    """The large values of one cache. `folder_of` returns the name of its folder, given a new one."""

    def __init__(self, values: KeptValues, folder_of: Callable[[str], Awaitable[str]]) -> None:
        self._values = values
        self._folder_of = folder_of
        self._folder = ""

    def is_large(self, data: bytes) -> bool:
        """Tell whether a value goes into the value store. So does a small one that looks like a pointer."""
        return len(data) > self._values.over or is_value_pointer(data)

    async def folder(self) -> str:
        """Return the folder of the cache."""
        if not self._folder:
            self._folder = f"{CACHES}/{await self._folder_of(token_hex(16))}"
        return self._folder

    async def put(self, digest: str, data: bytes) -> ValuePointer:
        """Put the value of a key; return the pointer to it.

        Raises:
            StoreError: If it can't be written.
        """
        key = blake2b(digest.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
        return await self._values.put(f"{await self.folder()}/{key}", data, safe=False)

    async def get(self, pointer: ValuePointer) -> bytes | None:
        """Return the bytes that a pointer leads to; `None` if they are not there, damaged or can't be read."""
        try:
            return await self._values.get(pointer)
        except (DamagedDataError, StoreError):
            return None

    async def forget_replaced(self, pointer: ValuePointer) -> None:
        """Remove the other values of a key, but young ones: a process may be about to write their entry."""
        before = time.time() - YOUNG_SECONDS
        await self.delete(
            [
                name
                for name, put_at, _ in await self.names(pointer.folder)
                if put_at < before and name != pointer.name
            ]
        )

    async def names(self, folder: str = "") -> list[tuple[str, float, int]]:
        """Return the names in a folder, or in that of the cache, with the time and the size of each."""
        return await self._values.names(folder or await self.folder())

    async def delete(self, names: list[str]) -> None:
        """Remove values."""
        if names:
            await self._values.delete(names)

    def delete_now(self, names: list[str]) -> None:
        """Remove values, in the caller's thread."""
        for name in names:
            self._values.store.delete(name)
