"""Cache policies: what the key of a call is, and how long its value holds."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import import_module

from cascade.spec.errors import PolicyError
from cascade.spec.policies import check_seconds
from cascade.spec.protocols import CachedCall, CacheKey, Hit


@dataclass(frozen=True, slots=True)
class ByInputs:
    """A value holds for calls of the same task with equal arguments, for `ttl` seconds or for ever.

    A task is the same as long as its code is: see `cascade.spec.code.code_version`. `version` sets apart what the
    code does not show, a file that the task reads or a model that it asks.
    """

    ttl: float | None = None
    version: str = ""

    def __post_init__(self) -> None:
        if self.ttl is not None and not check_seconds("ByInputs(ttl=...)", self.ttl) > 0:
            raise PolicyError("ByInputs(ttl=0)", "give more than 0 seconds, or None for no limit")

    def key(self, call: CachedCall) -> CacheKey | None:
        """Return the key of the task with its code, of the version, and of each argument.

        Raises:
            UncacheableError: If an argument has no canonical form; it names the argument and the type.
        """
        # Loaded at the first key: with what it needs it would be a third of the time that the package takes to import.
        keys = import_module("cascade.spec.keys")
        key: CacheKey = keys.key_of_call(call, self.version)
        return key

    def known(self, call: CachedCall) -> Hit | None:
        """Nothing is known without asking the cache."""
        return None


@dataclass(frozen=True, slots=True)
class FileExists:
    """The call is not made where the file that it makes is there already; its value is then the path."""

    path: str | os.PathLike[str]

    @property
    def ttl(self) -> float | None:
        """The file itself says how long it holds."""
        return None

    def key(self, call: CachedCall) -> CacheKey | None:
        """No value is kept: the file is."""
        return None

    def known(self, call: CachedCall) -> Hit | None:
        """Return the path, if there is such a file."""
        return Hit(import_module("pathlib").Path(self.path)) if os.path.exists(self.path) else None  # noqa: PTH110
