"""URLs of stores: `sqlite:///relative.db`, `sqlite:////absolute/path.db`, `redis://host:6379/0`.

A backend is imported when its URL is given: SQLite, Redis and the codecs are no part of importing the engine.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from cascade.adapters.addresses import REDIS_SCHEMES, address_of, split, sqlite_path
from cascade.spec.errors import SpecError
from cascade.spec.protocols import CacheBackend, StateBackend

CACHE_FORMS = "sqlite:///cache.db, sqlite:////absolute/path/cache.db or redis://host:6379/0"
STATE_FORMS = "sqlite:///runs.db, sqlite:////absolute/path/runs.db or redis://host:6379/0"

if TYPE_CHECKING:
    from cascade.adapters.state.catalog import Catalog


def cache_from_url(url: str, *, create: bool = True) -> CacheBackend:
    """Open and return the cache that a URL names; the caller closes it.

    With `create=False` the file of an SQLite URL is not made, so that reading leaves nothing behind.

    Raises:
        SpecError: If the URL is of no known form.
        StoreError: If the file of an SQLite URL can't be opened.
        StoreNotFoundError: If it is not there, and is not to be made.
        StoreFormatError: If that file is something else, or of a newer version.
        MissingExtraError: If the extra for the URL is not installed.
    """
    return cache_factory(url, create=create)()


def cache_factory(url: str, *, create: bool = True, **options: Any) -> Callable[[], CacheBackend]:
    """Return a function that opens the cache that a URL names; `options` are those of the backend.

    Raises:
        SpecError: If the URL is of no known form.
    """
    problem = f"cache={address_of(url)!r} is not the URL of a known cache"
    scheme = split(url, problem, f"write {CACHE_FORMS}").scheme
    if scheme == "sqlite":
        return partial(_sqlite_cache, sqlite_path(url, "cache", CACHE_FORMS), create=create, **options)
    if scheme in REDIS_SCHEMES:
        return partial(_redis_cache, url, **options)
    raise SpecError(problem, f"write {CACHE_FORMS}")


def _sqlite_cache(path: str, **options: Any) -> CacheBackend:
    from cascade.adapters.cache.sqlite_cache import SqliteCacheBackend  # noqa: PLC0415 - brings SQLite

    return SqliteCacheBackend(path, **options)


def _redis_cache(url: str, **options: Any) -> CacheBackend:
    from cascade.adapters.cache.redis_cache import RedisCacheBackend  # noqa: PLC0415 - brings codecs

    return RedisCacheBackend(url, **options)


def catalog_from_url(url: str) -> Catalog:
    """Return a catalog of the runs in an existing store.

    Raises:
        SpecError: If the URL is of no known form.
        StoreNotFoundError: If there is no such store.
        StoreFormatError: If it is something else, or of a newer version.
        StoreError: If it can't be read.
        MissingExtraError: If the extra for the URL is not installed.
    """
    problem = f"state={address_of(url)!r} is not the URL of a known store"
    scheme = split(url, problem, f"write {STATE_FORMS}").scheme
    if scheme == "sqlite":
        from cascade.adapters.state.sqlite.sqlite_catalog import SqliteCatalog  # noqa: PLC0415 - brings SQLite

        return SqliteCatalog(sqlite_path(url, "state", STATE_FORMS))
    if scheme in REDIS_SCHEMES:
        from cascade.adapters.state.redis.redis_catalog import RedisCatalog  # noqa: PLC0415 - brings codecs

        return RedisCatalog(url)
    raise SpecError(problem, f"write {STATE_FORMS}")


def state_from_url(url: str, **options: Any) -> Callable[..., StateBackend]:
    """Return a function of `run_id=` that makes the state backend of a run; `options` are those of the backend.

    Raises:
        SpecError: If the URL is of no known form.
        MissingExtraError: If the extra for the URL is not installed, when the backend is made.
    """
    problem, remedy = (
        f"state={address_of(url)!r} is not the URL of a known store",
        f"write {STATE_FORMS}, or give a backend",
    )
    scheme = split(url, problem, remedy).scheme
    if scheme == "sqlite":
        from cascade.adapters.state.sqlite.sqlite_journal import SqliteStateBackend  # noqa: PLC0415 - brings SQLite

        return partial(SqliteStateBackend, sqlite_path(url, "state", STATE_FORMS), **options)
    if scheme in REDIS_SCHEMES:
        from cascade.adapters.state.redis.redis_journal import RedisStateBackend  # noqa: PLC0415 - brings codecs

        return partial(RedisStateBackend, url, **options)
    raise SpecError(problem, remedy)
