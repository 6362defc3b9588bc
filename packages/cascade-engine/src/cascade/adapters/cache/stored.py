"""What the caches outside memory have in common: how an entry is written, and read without trust."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as a cache stores it, with the times between which it is good: an `EncodedValue`."""

    codec: Codec
    key: CacheKey
    ttl: float | None
    stored_at: float
    expires_at: float | None
    data: bytes
    storing: Callable[[Encoded], Awaitable[None]]

    @classmethod
    def of(
        cls,
        codec: Codec,
        now: float,
        key: CacheKey,
        value: object,
        ttl: float | None,
        storing: Callable[[Encoded], Awaitable[None]],
    ) -> Encoded:
        """Encode a value; `storing` puts it into the cache.

        Raises:
            CodecError: If the codec does not know a part of the value.
        """
        expires = None if ttl is None else float(now + ttl)
        data = codec.encode(value, key=place_of(key.digest, now, expires))
        return cls(codec, key, ttl, now, expires, data, storing)

    def copy(self) -> object:
        """Return an equal value, a new object each time.

        Raises:
            StoredReferenceError: If it names something that is gone in the meantime.
        """
        return self.codec.decode(self.data, key=place_of(self.key.digest, self.stored_at, self.expires_at))

    async def store(self) -> None:
        """Put it into the cache."""
        await self.storing(self)


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
