"""Pointers into a value store: what a record or a cache holds in the place of a large value."""

from __future__ import annotations

from hashlib import sha256
from typing import NamedTuple

from cascade.adapters.codec.marked_form import MarkedForm
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.errors import DamagedDataError

OVER = 1 << 20
"""Values of more bytes than this go into the value store, unless `values_over=` says otherwise."""

_FORM = MarkedForm(b"\xfecascade value\x00", 1, "pointer to a value")
_MARK = _FORM.mark


class ValuePointer(NamedTuple):
    """Where a large value is: the SHA-256 of its bytes, their number, and the folder that they are in.

    `tag` tells apart the objects of one digest in one folder: each writer that can't see the others has one of its own.
    So nobody removes what another one has just written. `key` is the store key that the bytes were encoded under, if
    that is not the one of the folder.
    """

    folder: str
    digest: bytes
    size: int
    tag: str = ""
    key: bytes = b""

    @property
    def name(self) -> str:
        """The name of the value in its store."""
        tag = f"-{self.tag}" if self.tag else ""
        return f"{self.folder}/{self.digest.hex()}{tag}"

    @classmethod
    def read(cls, data: bytes, key: bytes) -> ValuePointer:
        """Return the pointer of these bytes, which belong to this store key.

        Raises:
            DamagedDataError: If they are no such pointer.
        """
        return _FORM.read(cls, data, key)

    def sealed(self, key: bytes) -> bytes:
        """Return the pointer as bytes, which can be read only under the same store key."""
        return _FORM.sealed(self, key)


def is_value_pointer(data: bytes) -> bool:
    """Tell whether bytes in a store are a pointer."""
    return data.startswith(_MARK)


def pointer_to(folder: str, data: bytes, tag: str = "") -> ValuePointer:
    """Return the pointer to these bytes in a folder."""
    return ValuePointer(folder, sha256(data).digest(), len(data), tag)


def put_value(store: ValueStore, folder: str, data: bytes, *, safe: bool, tag: str = "") -> ValuePointer:
    """Put bytes into a value store; return the pointer to them. When it returns they are whole, and there.

    Raises:
        StoreError: If they can't be written.
    """
    pointer = pointer_to(folder, data, tag)
    store.put(pointer.name, data, safe=safe)
    return pointer


def get_value(store: ValueStore, pointer: ValuePointer) -> bytes:
    """Return the bytes that a pointer leads to.

    Raises:
        DamagedDataError: If they are missing, or are not what was put there; it names the value.
        StoreError: If they can't be read.
    """
    data = store.get(pointer.name, pointer.size)
    if len(data) != pointer.size or sha256(data).digest() != pointer.digest:
        raise DamagedDataError(f"the value {pointer.name} in {store} is not what was put there")
    return data
