"""Caches: in memory, in an SQLite file, in Redis. The last two are imported when they are first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cascade.adapters.cache.memory_cache import InMemoryCacheBackend

if TYPE_CHECKING:
    from cascade.adapters.cache.redis_cache import RedisCacheBackend
    from cascade.adapters.cache.sqlite_cache import SqliteCacheBackend

__all__ = ["InMemoryCacheBackend", "RedisCacheBackend", "SqliteCacheBackend"]

_MODULES = {"RedisCacheBackend": "redis_cache", "SqliteCacheBackend": "sqlite_cache"}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
