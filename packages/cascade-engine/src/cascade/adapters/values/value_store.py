"""The protocol of value stores, and the value store of a URL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol
from urllib.parse import unquote, urlsplit

from cascade.adapters.values.value_files import FileValueStore
from cascade.spec.errors import SpecError


class ValueStore(Protocol):
    """Keeps bytes under names such as `folder/1/digest`. Its methods may take time: they are called in threads.

    A name is put whole or not at all, and put again only with the same bytes.
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
        """Delete a name, or all names below a folder; a missing one is no error."""

    def names(self, folder: str) -> Iterator[tuple[str, float, int]]:
        """Yield the names below a folder, when each was put, in seconds since the epoch, and its size in bytes."""


def value_store_from_url(url: str) -> ValueStore:
    """Return the value store that a URL names: `file:///absolute/folder`.

    Raises:
        SpecError: If it names none.
    """
    found = urlsplit(url)
    path = unquote(found.path)
    if found.scheme != "file" or found.netloc or found.query or found.fragment or path in ("", "/"):
        raise SpecError("a value store of no known form", "write file:///absolute/path/of/a/folder")
    return FileValueStore(path)
