"""URLs of stores: `sqlite:///relative.db`, `sqlite:////absolute/path.db`, `redis://host:6379/0`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from cascade.adapters.addresses import REDIS_SCHEMES, address_of, split, sqlite_path
from cascade.spec.errors import SpecError
from cascade.spec.protocols import CacheBackend, Codec, StateBackend

CACHE_FORMS = "sqlite:///cache.db, sqlite:////absolute/path/cache.db or redis://host:6379/0"
STATE_FORMS = "sqlite:///runs.db, sqlite:////absolute/path/runs.db or redis://host:6379/0"

if TYPE_CHECKING:
    from cascade.adapters.state.catalog import Catalog


def cache_from_url(url: str, *, create: bool = True) -> CacheBackend:
    """Return the cache that a URL names, opened; who asks for it closes it.

    With `create=False` the file of an SQLite URL is not made: who only looks leaves nothing behind.

    Raises:
        SpecError: If the URL is of no known form.
        StoreError: If the file of an SQLite URL can't be opened.
        StoreNotFoundError: If it is not there, and is not to be made.
        StoreFormatError: If that file is something else, or of a newer version.
        MissingExtraError: If the extra for the URL is not installed.
    """
    return cache_factory(url, create=create)()


def cache_factory(url: str, *, create: bool = True, **options: Any) -> Callable[[], CacheBackend]:
    """Return what opens the cache that a URL names; `options` are those of the backend.

    Raises:
        SpecError: If the URL is of no known form.
    """
    problem = f"cache={address_of(url)!r} is not the URL of a known cache"
    scheme = split(url, problem, f"write {CACHE_FORMS}").scheme
    if scheme == "sqlite":
        path = sqlite_path(url, "cache", CACHE_FORMS)
        return partial(
            _cache, "cascade.adapters.cache.sqlite", "SqliteCacheBackend", path, create=create, **options
        )
    if scheme in REDIS_SCHEMES:
        return partial(_cache, "cascade.adapters.cache.redis", "RedisCacheBackend", url, **options)
    raise SpecError(problem, f"write {CACHE_FORMS}")


def codec_from_word(word: str) -> Codec:
    """Return the codec that a word names: `data`, `pickle`, `module:name`.

    Raises:
        SpecError: If it names none.
    """
    found: Codec = _named("cascade.adapters.codec", "codec_from_word")(word)
    return found


def catalog_from_url(url: str) -> Catalog:
    """Return a catalog of the runs in a store that is there.

    Raises:
        SpecError: If the URL is of no known form.
        StoreNotFoundError: If there is no such store.
        StoreFormatError: If it is something else, or of a newer version.
        StoreError: If it can't be read.
        MissingExtraError: If the extra for the URL is not installed.
    """
    problem = f"state={address_of(url)!r} is not the URL of a known store"
    scheme = split(url, problem, f"write {STATE_FORMS}").scheme
    made: Catalog
    if scheme == "sqlite":
        made = _named("cascade.adapters.state.sqlite.sqlite_catalog", "SqliteCatalog")(
            sqlite_path(url, "state", STATE_FORMS)
        )
    elif scheme in REDIS_SCHEMES:
        made = _named("cascade.adapters.state.redis.redis_catalog", "RedisCatalog")(url)
    else:
        raise SpecError(problem, f"write {STATE_FORMS}")
    return made


def state_from_url(url: str, **options: Any) -> Callable[..., StateBackend]:
    """Return what makes the state backend of a run, given `run_id=`; `options` are those of the backend.

    Raises:
        SpecError: If the URL is of no known form.
        MissingExtraError: If the extra for the URL is not installed.
    """
    problem, remedy = (
        f"state={address_of(url)!r} is not the URL of a known store",
        f"write {STATE_FORMS}, or give a backend",
    )
    scheme = split(url, problem, remedy).scheme
    if scheme == "sqlite":
        path = sqlite_path(url, "state", STATE_FORMS)
        return partial(
            _named("cascade.adapters.state.sqlite.sqlite_journal", "SqliteStateBackend"), path, **options
        )
    if scheme in REDIS_SCHEMES:
        return partial(
            _named("cascade.adapters.state.redis.redis_journal", "RedisStateBackend"), url, **options
        )
    raise SpecError(problem, remedy)


def _cache(module: str, name: str, given: str, **options: Any) -> CacheBackend:
    made: CacheBackend = _named(module, name)(given, **options)
    return made


def _named(module: str, name: str) -> Callable[..., Any]:
    # Loaded when asked for: SQLite and Redis are no part of importing the engine.
    named: Callable[..., Any] = getattr(import_module(module), name)
    return named
