"""URLs of stores: `sqlite:///relative.db`, `sqlite:////absolute/path.db`, `redis://host:6379/0`, `postgresql://host/db`.

Each kind of store is a row of one table: how its URLs are written, and what keeps runs, keeps cached values and lists
runs there. A backend is imported when its URL is given: importing the engine loads no SQLite, no client of a server
and no codec.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from cascade.adapters.addresses import POSTGRES_SCHEMES, REDIS_SCHEMES, address_of, split, sqlite_path
from cascade.spec.errors import SpecError
from cascade.spec.late_dataclasses import dataclass
from cascade.spec.protocols import CacheBackend, StateBackend

if TYPE_CHECKING:
    from cascade.adapters.state.catalog import Catalog

StateMaker: TypeAlias = Callable[..., StateBackend]
"""Makes the state backend of a run, given `run_id=`."""


@dataclass(frozen=True, slots=True)
class Store:
    """One kind of store. `forms` are how its URLs are written; `{file}` stands for the name of a file.

    `place` takes a URL, the setting that it was given for and the known forms, and returns what the backends take. The
    functions after it import a backend and return what makes it.
    """

    schemes: tuple[str, ...]
    forms: tuple[str, ...]
    place: Callable[[str, str, str], str]
    state: Callable[[], Callable[..., StateMaker]]
    cache: Callable[[], Callable[..., CacheBackend]]
    catalog: Callable[[], Callable[[str], Catalog]]


def _sqlite_state() -> Callable[..., StateMaker]:
    from cascade.adapters.state.sqlite.sqlite_journal import SqliteStates  # noqa: PLC0415 - brings SQLite

    return SqliteStates


def _sqlite_cache() -> Callable[..., CacheBackend]:
    from cascade.adapters.cache.sqlite_cache import SqliteCacheBackend  # noqa: PLC0415 - brings SQLite

    return SqliteCacheBackend


def _sqlite_catalog() -> Callable[[str], Catalog]:
    from cascade.adapters.state.sqlite.sqlite_catalog import SqliteCatalog  # noqa: PLC0415 - brings SQLite

    return SqliteCatalog


def _redis_state() -> Callable[..., StateMaker]:
    from cascade.adapters.state.redis.redis_journal import RedisStates  # noqa: PLC0415 - brings codecs

    return RedisStates


def _redis_cache() -> Callable[..., CacheBackend]:
    from cascade.adapters.cache.redis_cache import RedisCacheBackend  # noqa: PLC0415 - brings codecs

    def make(url: str, *, create: bool = True, **options: Any) -> CacheBackend:
        return RedisCacheBackend(url, **options)  # there is no file to create

    return make


def _redis_catalog() -> Callable[[str], Catalog]:
    from cascade.adapters.state.redis.redis_catalog import RedisCatalog  # noqa: PLC0415 - brings codecs

    return RedisCatalog


def _postgres_state() -> Callable[..., StateMaker]:
    from cascade.adapters.state.postgres.postgres_journal import PostgresStates  # noqa: PLC0415 - brings codecs

    return PostgresStates


def _postgres_cache() -> Callable[..., CacheBackend]:
    from cascade.adapters.cache.postgres_cache import PostgresCacheBackend  # noqa: PLC0415 - brings codecs

    def make(url: str, *, create: bool = True, **options: Any) -> CacheBackend:
        return PostgresCacheBackend(url, **options)  # there is no file to create

    return make


def _postgres_catalog() -> Callable[[str], Catalog]:
    from cascade.adapters.state.postgres.postgres_catalog import PostgresCatalog  # noqa: PLC0415 - brings codecs

    return PostgresCatalog


def _whole_url(url: str, setting: str, forms: str) -> str:
    """Return the URL itself: the backends check it, and read from it where the server is."""
    return url


STORES = (
    Store(
        ("sqlite",),
        ("sqlite:///{file}", "sqlite:////absolute/path/{file}"),
        sqlite_path,
        _sqlite_state,
        _sqlite_cache,
        _sqlite_catalog,
    ),
    Store(REDIS_SCHEMES, ("redis://host:6379/0",), _whole_url, _redis_state, _redis_cache, _redis_catalog),
    Store(
        POSTGRES_SCHEMES,
        ("postgresql://host:5432/database",),
        _whole_url,
        _postgres_state,
        _postgres_cache,
        _postgres_catalog,
    ),
)
"""All kinds of stores that a URL may name."""


def _listed(file: str) -> str:
    *forms, last = [form.format(file=file) for store in STORES for form in store.forms]
    return f"{', '.join(forms)} or {last}"


CACHE_FORMS = _listed("cache.db")
STATE_FORMS = _listed("runs.db")


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
    store = _store_of(url, problem, f"write {CACHE_FORMS}")
    place = store.place(url, "cache", CACHE_FORMS)
    return lambda: store.cache()(place, create=create, **options)


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
    store = _store_of(url, problem, f"write {STATE_FORMS}")
    return store.catalog()(store.place(url, "state", STATE_FORMS))


def state_from_url(url: str, **options: Any) -> StateMaker:
    """Return a function of `run_id=` that makes the state backend of a run; `options` are those of the backend.

    If it has a method `keep_open`, that lets the store stay open between runs, until the async method `close`.

    Raises:
        SpecError: If the URL is of no known form.
        MissingExtraError: If the extra for the URL is not installed, when the backend is made.
    """
    problem = f"state={address_of(url)!r} is not the URL of a known store"
    store = _store_of(url, problem, f"write {STATE_FORMS}, or give a backend")
    return store.state()(store.place(url, "state", STATE_FORMS), **options)


def _store_of(url: str, problem: str, remedy: str) -> Store:
    """Return the kind of store that a URL names.

    Raises:
        SpecError: If it names none; with this problem and remedy.
    """
    scheme = split(url, problem, remedy).scheme
    for store in STORES:
        if scheme in store.schemes:
            return store
    raise SpecError(problem, remedy)
