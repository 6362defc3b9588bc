"""Entries of caches that store bytes: how they are written, and read without trust.

A store holds whatever somebody has put there. What does not fit is treated as missing, never as an error.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from struct import Struct

from cascade.adapters.cache.cached_values import CachedValues
from cascade.adapters.codec import DataCodec
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.value_pointer import ValuePointer, is_value_pointer
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.errors import CodecError, DamagedDataError, DataVersionError, StoredReferenceError
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.protocols import CacheEntry, CacheKey, Codec, Hit, KeyPart, PartKind

SHOWN_AFTER = 3600.0
"""Seconds for which a server still shows a value that has expired as such."""

FOLDER_DIGEST = "folder of values"
"""Stands for the digest of a key in a table: the name of the cache's folder in value stores."""

SHORT = 512
"""Bytes that a stored pointer has at most."""

_RULES = b"cache %d " % DIGEST_RULES
_WHEN = Struct("<d?d").pack  # takes a tenth of the time that the digits of two numbers take


def place_of(digest: str, stored_at: float, expires_at: float | None) -> bytes:
    """Return the store key of a value's bytes: the version of digest rules, the digest of the key, and both times."""
    when = _WHEN(stored_at, expires_at is None, expires_at or 0.0)
    return b"".join((_RULES, digest.encode("utf-8", "surrogatepass"), when))


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value as a cache stores it, an `EncodedValue`. It is valid from `stored_at` until `expires_at`, in seconds."""

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
        key: CacheKey,
        value: object,
        times: tuple[float, float | None],
        storing: Callable[[Encoded], Awaitable[None]],
    ) -> Encoded:
        """Encode a value; `storing` puts it into the cache.

        `times` are the time now and the time to live, both in seconds; `None` if it does not expire.

        Raises:
            CodecError: If the codec does not know a part of the value.
        """
        now, ttl = times
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


def pointer_of(digest: str, data: object, stored_at: object, expires_at: object) -> ValuePointer | None:
    """Return the pointer of an entry to a large value; `None` if it has none, or a damaged one."""
    if not (isinstance(data, bytes) and is_value_pointer(data) and isinstance(stored_at, float)):
        return None
    if not (expires_at is None or isinstance(expires_at, float)):
        return None
    try:
        return ValuePointer.read(data, place_of(digest, stored_at, expires_at))
    except (DamagedDataError, DataVersionError):
        return None


class StoredCache(ABC):
    """What caches that store bytes have in common: a value is encoded, and then stored."""

    def __init__(
        self, codec: Codec | None, clock: Callable[[], float], values: KeptValues | None = None
    ) -> None:
        self._codec = DataCodec() if codec is None else codec
        self._clock = clock
        self._values = None if values is None else CachedValues(values, self._folder)

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        """Keep a value; returns when it is stored.

        Raises:
            CodecError: If the codec does not know a part of the value.
            StoreError: If the store can't be written.
        """
        await self.encode(key, value, ttl).store()

    def encode(self, key: CacheKey, value: object, ttl: float | None) -> Encoded:
        """Return a value as bytes, to be stored later or to be copied.

        Raises:
            CodecError: If the codec does not know a part of the value.
        """
        return Encoded.of(self._codec, key, value, (float(self._clock()), ttl), self._put)

    async def _put(self, encoded: Encoded) -> None:
        """Put an encoded value into the cache; a large one into the value store, and a pointer into the cache."""
        values = self._values
        if values is None or not values.is_large(encoded.data):
            await self._store(encoded, encoded.data)
            return
        digest = encoded.key.digest
        pointer = await values.put(digest, encoded.data)
        place = place_of(digest, encoded.stored_at, encoded.expires_at)
        await self._store(encoded, pointer.sealed(place))
        await values.forget_replaced(pointer)

    async def _hit(self, digest: str, data: object, stored_at: object, expires_at: object) -> Hit | None:
        """Return what the store has as a hit, with a large value from the value store; `None` if it is none."""
        if self._values is not None and isinstance(data, bytes) and is_value_pointer(data):
            pointer = pointer_of(digest, data, stored_at, expires_at)
            data = None if pointer is None else await self._values.get(pointer)
        return hit_of(self._codec, self._clock(), digest, data, stored_at, expires_at)

    @property
    def large(self) -> CachedValues | None:
        """Its large values in a value store, if it was given one."""
        return self._values

    @abstractmethod
    async def _store(self, encoded: Encoded, data: bytes) -> None:
        """Put an encoded value into the store, where it is these bytes: its own, or a pointer to it."""

    @abstractmethod
    async def _folder(self, new: str) -> str:
        """Return the name that the cache has for itself in value stores; if it has none yet, this new one."""


def hit_of(  # noqa: PLR0913 - public; the last three are the columns of a row
    codec: Codec, now: float, digest: str, data: object, stored_at: object, expires_at: object
) -> Hit | None:
    """Return the stored value as a hit; `None` if it is expired, damaged, or refers to something that is gone."""
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


def entry_of(  # noqa: PLR0913 - public; these are the columns of a row
    digest: object, task: str, parts: object, stored_at: object, expires_at: object, rules: object
) -> CacheEntry | None:
    """Return the entry of a stored row; `None` if it is damaged."""
    try:
        found = json.loads(str(parts))
        read = tuple(KeyPart(PartKind(kind), str(name), str(part)) for kind, name, part in found)
        stored = float(str(stored_at))
        expires = None if expires_at is None else float(str(expires_at))
        made_by = int(str(rules))
    except (TypeError, ValueError, RecursionError):
        return None
    return CacheEntry(CacheKey(str(digest), task, read), stored, expires, made_by)
