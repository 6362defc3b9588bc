"""Envelopes: format version, checksum, payload.

The checksum covers the version, the store key and the payload. So bytes that were changed, cut off or moved to another
key are found out. It is not a signature: whoever can write to the store can make one.
"""

from __future__ import annotations

from hashlib import blake2b

from cascade.spec.errors import DamagedDataError, DataVersionError

_SIZE = 16
_START = 1 + _SIZE
_EMPTY = blake2b(digest_size=_SIZE, person=b"cascade data")


def seal(version: int, payload: bytes, key: bytes) -> bytes:
    """Return the payload in an envelope of that version, which can be opened only with the same `key`."""
    mark = bytes((version,))
    return mark + _checksum(mark, payload, key) + payload


def unseal(known: int, data: bytes, key: bytes) -> memoryview:
    """Return the payload of an envelope.

    Raises:
        DamagedDataError: If the checksum does not fit.
        DataVersionError: If it fits, and the version is later than `known`.
    """
    if len(data) < _START:
        raise DamagedDataError(f"{len(data)} bytes are too few")
    view = memoryview(data)
    payload = view[_START:]
    if _checksum(view[:1], payload, key) != view[1:_START]:
        raise DamagedDataError("its checksum does not fit the data and the key")
    # After the checksum: a flipped bit in the version is damage, not news.
    if data[0] > known:
        raise DataVersionError(data[0], known)
    return payload


def _checksum(mark: bytes | memoryview, payload: bytes | memoryview, key: bytes) -> bytes:
    hashed = _EMPTY.copy()  # takes half the time that making one takes
    hashed.update(b"".join((mark, len(key).to_bytes(8, "big"), key)))
    hashed.update(payload)
    return hashed.digest()
