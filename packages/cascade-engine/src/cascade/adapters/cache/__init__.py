"""Caches: in memory, in an SQLite file, in Redis, in PostgreSQL. All but the first are imported at first use."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cascade.adapters.cache.memory_cache import InMemoryCacheBackend

if TYPE_CHECKING:
    from cascade.adapters.cache.postgres_cache import PostgresCacheBackend
    from cascade.adapters.cache.redis_cache import RedisCacheBackend
    from cascade.adapters.cache.sqlite_cache import SqliteCacheBackend

__all__ = ["InMemoryCacheBackend", "PostgresCacheBackend", "RedisCacheBackend", "SqliteCacheBackend"]

_MODULES = {
    "PostgresCacheBackend": "postgres_cache",
    "RedisCacheBackend": "redis_cache",
    "SqliteCacheBackend": "sqlite_cache",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
