"""`ByInputs`: a cached value holds for calls of the same task with equal arguments."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from cascade.spec.errors import PolicyError
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.policies.checks import check_seconds
from cascade.spec.protocols import CachedCall, CacheKey, Hit


@dataclass(frozen=True, slots=True)
class ByInputs:
    """A value holds for calls of the same task with equal arguments, for `ttl` seconds or for ever.

    A task is the same as long as its code is: see `cascade.spec.code.code_version`. Change `version` for a difference
    that the code does not show, such as in a file that the task reads or in a model that it asks.
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
        return _maker_of_keys()(call, self.version)

    def known(self, call: CachedCall) -> Hit | None:
        """Nothing is known without asking the cache."""
        return None


@cache
def _maker_of_keys() -> Callable[[CachedCall, str], CacheKey]:
    """Return what makes keys. The import is a third of that of the package; to look it up costs as much as a digest."""
    from cascade.spec.cache_keys import key_of_call  # noqa: PLC0415

    return key_of_call
