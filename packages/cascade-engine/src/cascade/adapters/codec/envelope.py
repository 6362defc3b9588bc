"""The frame around a payload: format version, checksum, payload.

The checksum covers the version, the store key and the payload, so that bytes which are changed, cut or moved to another
key are told from what was written. It is no signature: who can write to the store can make one.
"""

from __future__ import annotations

from hashlib import blake2b

from cascade.spec.errors import DamagedDataError, DataVersionError

_SIZE = 16
_START = 1 + _SIZE
_EMPTY = blake2b(digest_size=_SIZE, person=b"cascade data")


def seal(version: int, payload: bytes, key: bytes) -> bytes:
    """Return the payload in a frame of that version, bound to `key`."""
    mark = bytes((version,))
    return mark + _checksum(mark, payload, key) + payload


def unseal(known: int, data: bytes, key: bytes) -> memoryview:
    """Return the payload of a frame.

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
