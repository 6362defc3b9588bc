"""Pointers: what a store has in the place of a large value."""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from cascade.spec.errors import DamagedDataError

LARGE = 1 << 20
"""Bytes from which on a value lies beside its store: a database is slow with larger ones, and grows with them."""

_MARK = b"\xffcascade value\x00"
_DIGEST = 32
SIZE = len(_MARK) + _DIGEST + 8
"""Bytes of a pointer."""


class Pointer(NamedTuple):
    """The digest and the number of a value's bytes."""

    digest: bytes
    size: int

    @classmethod
    def to(cls, data: bytes) -> Pointer:
        """Return the pointer to these bytes."""
        return cls(blake2b(data, digest_size=_DIGEST).digest(), len(data))

    @classmethod
    def read(cls, data: bytes) -> Pointer:
        """Return the pointer of these bytes in a store.

        Raises:
            DamagedDataError: If it is cut or too long.
        """
        if len(data) != SIZE:
            raise DamagedDataError("it points to a large value, and is of another length than that takes")
        rest = data[len(_MARK) :]
        return cls(rest[:_DIGEST], int.from_bytes(rest[_DIGEST:], "big"))

    def __bytes__(self) -> bytes:
        return _MARK + self.digest + self.size.to_bytes(8, "big")

    def check(self, data: bytes) -> bytes:
        """Return these bytes, if this is the pointer to them.

        Raises:
            DamagedDataError: If not.
        """
        if len(data) != self.size or blake2b(data, digest_size=_DIGEST).digest() != self.digest:
            raise DamagedDataError("the file of a large value holds something else")
        return data


def is_pointer(data: bytes) -> bool:
    """Tell whether bytes in a store are a pointer."""
    return data.startswith(_MARK)


def is_large(data: bytes) -> bool:
    """Tell whether a value belongs beside the store. So does a small one that looks like a pointer."""
    return len(data) >= LARGE or is_pointer(data)
