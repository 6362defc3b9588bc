"""What the caches outside memory have in common: how an entry is written, and read without trust."""

from __future__ import annotations

import json
from struct import Struct

from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.errors import CodecError, DamagedDataError, DataVersionError, StoredReferenceError
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit, KeyPart, PartKind

_RULES = b"cache %d " % DIGEST_RULES
_WHEN = Struct("<d?d").pack  # takes a tenth of the time that the digits of two numbers take


def place_of(digest: str, stored_at: float, expires_at: float | None) -> bytes:
    """Return what the bytes of a value are bound to: the rules of its key, the key, and when it is good."""
    when = _WHEN(stored_at, expires_at is None, expires_at or 0.0)
    return b"".join((_RULES, digest.encode("utf-8", "surrogatepass"), when))


def hit_of(
    codec: Codec, now: float, digest: str, data: object, stored_at: object, expires_at: object
) -> Hit | None:
    """Return the value that a store holds; `None` where it is not good now, is damaged, or names what is gone."""
    if not isinstance(data, bytes) or not isinstance(stored_at, float):
        return None
    if expires_at is not None and not (isinstance(expires_at, float) and stored_at <= now < expires_at):
        return None
    try:
        return Hit(codec.decode(data, key=place_of(digest, stored_at, expires_at)), now - stored_at)
    except (CodecError, DamagedDataError, DataVersionError, StoredReferenceError):
        return None


def parts_as_text(key: CacheKey) -> str:
    """Return the parts of a key as JSON."""
    return json.dumps([tuple(part) for part in key.parts])


def entry_of(
    digest: object, task: str, parts: object, stored_at: object, expires_at: object, rules: object
) -> CacheEntry | None:
    """Return what a store holds of an entry; `None` where that is damaged."""
    try:
        told = json.loads(str(parts))
        read = tuple(KeyPart(PartKind(kind), str(name), str(part)) for kind, name, part in told)
        stored = float(str(stored_at))
        expires = None if expires_at is None else float(str(expires_at))
        made_by = int(str(rules))
    except (TypeError, ValueError, RecursionError):
        return None
    return CacheEntry(CacheKey(str(digest), task, read), stored, expires, made_by)
