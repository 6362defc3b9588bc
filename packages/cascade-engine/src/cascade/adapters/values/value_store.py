"""The protocol of value stores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol


class ValueStore(Protocol):
    """Keeps bytes under names such as `folder/1/digest`. Its methods may take time: they are called in threads.

    A name is put whole or not at all, and put again only with the same bytes. Several threads, processes and hosts may
    call at once. A value store can be pickled if calls in other processes are to write to it.
    """

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        """Keep bytes; with `safe`, they survive the loss of power when this returns.

        Raises:
            StoreError: If they can't be kept.
        """

    def get(self, name: str, size: int) -> bytes:
        """Return the bytes of a name, whose number is `size`.

        Raises:
            DamagedDataError: If there are none, or they are not so many.
            StoreError: If they can't be read.
        """

    def delete(self, name: str) -> None:
        """Delete a name, or all names below a folder; a missing one is no error. What can't be deleted stays."""

    def names(self, folder: str) -> Iterator[tuple[str, float, int]]:
        """Yield the names below a folder, when each was put, in seconds since the epoch, and its size in bytes.

        Raises:
            StoreError: If they can't be listed.
        """
