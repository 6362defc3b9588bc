"""Marked forms: records of Cascade's own that stand where a value may stand, told apart by how they begin."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import msgspec

from cascade.adapters.codec.envelope import seal, unseal
from cascade.spec.errors import DamagedDataError

T = TypeVar("T")


class MarkedForm(NamedTuple):
    """A mark, and an envelope with a record in it. `what` says in errors what the record is."""

    mark: bytes
    version: int
    what: str

    def sealed(self, record: object, key: bytes) -> bytes:
        """Return a record as bytes, which can be read only under the same store key."""
        return self.mark + seal(self.version, msgspec.msgpack.encode(record), key)

    def read(self, kind: type[T], data: bytes, key: bytes) -> T:
        """Return the record of these bytes, which have the mark and belong to this store key.

        Raises:
            DamagedDataError: If they are no such record.
        """
        payload = unseal(self.version, data[len(self.mark) :], key)
        try:
            return msgspec.msgpack.decode(payload, type=kind)
        except msgspec.DecodeError as problem:
            raise DamagedDataError(f"it is no {self.what} ({problem})") from problem
