"""Protocols: what the engine asks of a cache policy, a cache backend, a state backend and a codec.

Each has a default in `cascade.adapters` and a conformance suite in `cascade.testing`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from cascade.spec.task import Task


@dataclass(frozen=True, slots=True)
class Hit:
    """A value that was found, so that `None` is a value like any other."""

    value: object


@dataclass(frozen=True, slots=True)
class CachedCall:
    """One call with its arguments resolved, as a cache policy sees it."""

    task: Task[Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class CachePolicy(Protocol):
    """Says what the key of a call is and how long a value of it is good."""

    @property
    def ttl(self) -> float | None:
        """Seconds for which a value is good; `None` means for ever."""

    def key(self, call: CachedCall) -> str | None:
        """Return the key of `call`, equal only for calls with equal values; `None` to leave the cache alone.

        Raises:
            UncacheableError: If an argument has no canonical form; the call is then made without the cache.
        """

    def known(self, call: CachedCall) -> Hit | None:
        """Return the value if it is known without asking the backend."""


class CacheBackend(Protocol):
    """Where cached values lie. It may forget whatever it likes, and never gives a value past its time."""

    async def get(self, key: str) -> Hit | None:
        """Return what was put there last, if it is still good."""

    async def put(self, key: str, value: object, ttl: float | None) -> None:
        """Keep `value` for `ttl` seconds, or as long as there is room."""

    async def close(self) -> None:
        """Let go of files and connections."""


class Codec(Protocol):
    """Turns values into bytes for a store, and back.

    `key` is the key that the bytes are stored under. It is no secret; it binds bytes to their place, so that those of
    another key are refused.
    """

    def encode(self, value: object, *, key: bytes) -> bytes:
        """Return bytes that stand for `value` under `key`.

        Raises:
            CodecError: If a part of it is of a type that the codec does not know; it names the type and the place.
        """

    def decode(self, data: bytes, *, key: bytes) -> object:
        """Return an equal value of the same types.

        Raises:
            DamagedDataError: If these are not the bytes that were made under this key.
            DataVersionError: If they are of a later format.
            StoredReferenceError: If they name a class that is not there or has changed.
        """


class StateBackend(Protocol):
    """The facts of one run: made once per run, called with `run_id=`.

    Keys are `cascade.runtime.keys.NodeKey`s: hashable, equal for equal places, with a `frame`. A key may hold both a
    skip and a result: a node that is skipped with `otherwise` has a value all the same.
    """

    def put_result(self, key: Any, value: object) -> None:
        """Note that the node gave `value`, which may be `None`."""

    def get_result(self, key: Any) -> Any:
        """Return the node's value.

        Raises:
            KeyError: If it has none.
        """

    def has_result(self, key: Any) -> bool:
        """Tell whether the node has a value."""

    def mark_skipped(self, key: Any, reason: str) -> None:
        """Note that the node is not run, or has no value, for this reason."""

    def get_skip_reason(self, key: Any) -> str | None:
        """Return why the node was skipped; `None` if it was not."""

    def clear(self, frame: Any | None = None) -> None:
        """Forget what lies below `frame`; everything, if none is given."""
