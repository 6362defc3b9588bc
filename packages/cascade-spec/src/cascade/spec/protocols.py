"""Protocols: what the engine asks of a cache policy, a cache backend, a state backend and a codec.

Each has a default: policies in `cascade.spec`, the others in `cascade.adapters`. Backends have a conformance suite in
`cascade.testing`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias

from cascade.spec.calls.arguments import Arguments, Keywords
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.tasks.definition import TaskDefinition


@dataclass(frozen=True, slots=True)
class Hit:
    """A value that was found, so that `None` is a value like any other.

    `age` is the seconds since it was put, by the cache's clock; `None` where that is not known.
    """

    value: object
    age: float | None = field(default=None, compare=False, repr=False)

    def is_good_for(self, ttl: float | None) -> bool:
        """Return whether the value is younger than `ttl` seconds, whatever time to live it was put with.

        A value that was put later than now is not: the clock was set back since, so its age is unknown.
        """
        return ttl is None or self.age is None or 0 <= self.age < ttl


class CachedCall(NamedTuple):
    """One call with its arguments resolved, as a cache policy sees it."""

    task: TaskDefinition
    args: Arguments
    kwargs: Keywords


class PartKind(StrEnum):
    """The kinds of parts of a key: code, version, one argument, or the process or file that the key is valid for."""

    CODE = "code"
    VERSION = "version"
    ARGUMENT = "argument"
    PROCESS = "process"
    PLACE = "place"


class KeyPart(NamedTuple):
    """One part of a key with its own digest, in hex; `name` is that of an argument's parameter, else empty."""

    kind: PartKind
    name: str
    digest: str


class CacheKey:
    """The key of a call: a digest that differs from that of every other call, the task, and the parts of the digest.

    Values are found by `digest` alone, which is 64 hex digits in keys that Cascade makes. `task` and `parts` serve to
    explain what has changed since an entry was made; `parts` may be empty. They may be given as a function that makes
    them, which is called when they are first asked for.
    """

    __slots__ = ("_parts", "digest", "task")
    digest: str
    task: str
    _parts: tuple[KeyPart, ...] | Callable[[], tuple[KeyPart, ...]]

    def __init__(
        self, digest: str, task: str, parts: tuple[KeyPart, ...] | Callable[[], tuple[KeyPart, ...]] = ()
    ) -> None:
        # Once per call with a cache: as fast as a frozen dataclass can be.
        _set(self, "digest", digest)
        _set(self, "task", task)
        _set(self, "_parts", parts)

    @property
    def parts(self) -> tuple[KeyPart, ...]:
        """What the digest is made of."""
        parts = self._parts
        if callable(parts):
            parts = parts()
            _set(self, "_parts", parts)
        return parts

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a cache key does not change: {name!r} can't be set")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a cache key does not change: {name!r} can't be deleted")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CacheKey):
            return NotImplemented
        return (self.digest, self.task, self.parts) == (other.digest, other.task, other.parts)

    def __hash__(self) -> int:
        return hash((self.digest, self.task))

    def __reduce__(self) -> tuple[object, ...]:
        return CacheKey, (self.digest, self.task, self.parts)

    def __repr__(self) -> str:
        return f"CacheKey(digest={self.digest!r}, task={self.task!r}, parts={self.parts!r})"


_set = object.__setattr__


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """What a cache knows about a value without decoding it. Times are in seconds of the cache's clock.

    An expired entry is no hit; a cache may still list it. `rules` is the version of the rules by which its key was
    made; an entry of other rules than `DIGEST_RULES` is no hit either.
    """

    key: CacheKey
    stored_at: float
    expires_at: float | None
    rules: int = DIGEST_RULES


class CachePolicy(Protocol):
    """Decides what the key of a call is, and how long its value may be used."""

    @property
    def ttl(self) -> float | None:
        """Seconds for which a value may be used; `None` means for ever."""

    def key(self, call: CachedCall) -> CacheKey | None:
        """Return the key of `call`, equal only for calls with equal values; `None` to leave the cache alone.

        Raises:
            UncacheableError: If an argument has no canonical form; the call is then made without the cache.
        """

    def known(self, call: CachedCall) -> Hit | None:
        """Return the value if it is known without asking the backend."""


class EncodedValue(Protocol):
    """A value as a cache would store it. It stays the same if somebody changes the value later."""

    def copy(self) -> object:
        """Return an equal value, a new object each time."""

    async def store(self) -> None:
        """Put it into the cache, as `CacheBackend.put` does."""


class CacheBackend(Protocol):
    """A store of cached values. It may forget any value, and never returns one that has expired.

    A value with a time to live that was put later than now is not returned either: the clock was set back since. A hit
    has its age, so that a shorter time to live of a policy also applies to values that are stored already.

    A cache whose `get` returns a new object each time also has `encode(key, value, ttl) -> EncodedValue`, which is like
    `put` up to its first `await`. With it, calls that wait for a value while it is computed get objects of their own.
    Without it they get the object that was computed.

    A cache that never waits also has `look(key)` and `keep(key, value, ttl)`, which do what `get` and `put` do. A call
    that the event loop makes by itself is then looked up and kept in the same turn. A cache with `look` alone may
    return `None` from it where `get` would have to wait.

    A class that builds on another one is not asked for the optional methods that it inherits: it may do otherwise.

    Its errors are raised, as a `CascadeError` where they can be foreseen: the call is then made without the cache. A
    value that was damaged in the store is no hit.
    """

    async def get(self, key: CacheKey) -> Hit | None:
        """Return what was put under the key last, unless it has expired."""

    async def put(self, key: CacheKey, value: object, ttl: float | None) -> None:
        """Keep `value` for `ttl` seconds, or as long as there is room.

        The value is kept as it is now: encode it before the first `await`, after which others may change it.
        """

    async def entries(self, task: str, limit: int = 100) -> list[CacheEntry]:
        """Return the entries of a task, the latest one first; no value is decoded."""

    async def close(self) -> None:
        """Close files and connections. Closing twice is no error."""


class Codec(Protocol):
    """Turns values into bytes for a store, and back.

    `key` is the key that the bytes are stored under. It is no secret. It binds the bytes to the key, so that bytes of
    another key are refused.
    """

    def encode(self, value: object, *, key: bytes) -> bytes:
        """Return bytes that stand for `value` under `key`.

        Raises:
            CodecError: If a part of it has a type that the codec does not know; it names the type and the path to it.
        """

    def decode(self, data: bytes, *, key: bytes) -> object:
        """Return an equal value of the same types.

        Raises:
            DamagedDataError: If these are not the bytes that were made under this key.
            DataVersionError: If they are of a later format.
            StoredReferenceError: If they name a class that is not there or has changed.
        """


FactKey: TypeAlias = Any
"""The key of a node's facts: hashable, equal for equal places, with a `frame`. A backend names its own class."""

FactFrame: TypeAlias = Any
"""The part that the keys of one tree have in common: the `frame` of a key."""


class StateBackend(Protocol):
    """The facts of one run: made once per run, called with `run_id=`.

    Keys are `cascade.adapters.state.keys.NodeKey`s: hashable, equal for equal places, with a `frame`. A key may hold
    both a skip and a result: a node that is skipped with `otherwise` has a value all the same.
    """

    def put_result(self, key: FactKey, value: object) -> None:
        """Note that the node gave `value`, which may be `None`."""

    def get_result(self, key: FactKey) -> object:
        """Return the node's value.

        Raises:
            KeyError: If it has none.
        """

    def has_result(self, key: FactKey) -> bool:
        """Return whether the node has a value."""

    def mark_skipped(self, key: FactKey, reason: str) -> None:
        """Note that the node does not run, or has no value, for this reason."""

    def get_skip_reason(self, key: FactKey) -> str | None:
        """Return why the node was skipped; `None` if it was not."""

    def clear(self, frame: FactFrame | None = None) -> None:
        """Forget what lies below `frame`; everything, if none is given."""
