"""What the caches outside memory have in common: how an entry is written, and read without trust."""

from __future__ import annotations

import json

from cascade.spec.errors import CodecError, DamagedDataError, DataVersionError, StoredReferenceError
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit, KeyPart, PartKind


def place_of(digest: str, expires_at: float | None) -> bytes:
    """Return what the bytes of a value are bound to: its key, and the time up to which it is good."""
    return f"cache {digest} {expires_at!r}".encode("utf-8", "surrogatepass")


def decoded(codec: Codec, data: bytes, digest: str, expires_at: float | None) -> Hit | None:
    """Return the value of bytes; `None` where they are damaged, or name what is no longer there."""
    try:
        return Hit(codec.decode(data, key=place_of(digest, expires_at)))
    except (CodecError, DamagedDataError, DataVersionError, StoredReferenceError):
        return None


def parts_as_text(key: CacheKey) -> str:
    """Return the parts of a key as JSON."""
    return json.dumps([tuple(part) for part in key.parts])


def entry_of(
    digest: object, task: str, parts: object, stored_at: object, expires_at: object
) -> CacheEntry | None:
    """Return what a store holds of an entry; `None` where that is damaged."""
    try:
        told = json.loads(str(parts))
        read = tuple(KeyPart(PartKind(kind), str(name), str(part)) for kind, name, part in told)
        stored = float(str(stored_at))
        expires = None if expires_at is None else float(str(expires_at))
    except (TypeError, ValueError, RecursionError):
        return None
    return CacheEntry(CacheKey(str(digest), task, read), stored, expires)
