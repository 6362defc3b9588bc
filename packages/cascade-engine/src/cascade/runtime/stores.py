"""Stores: the state, the cache and the codec that settings ask for, by URL, by word or as objects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from cascade.adapters import store_urls as urls
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.adapters.values.value_urls import value_store_from_url
from cascade.runtime.protocols import CacheBackend, StateBackendFactory
from cascade.runtime.settings import StoreSettings, part_of
from cascade.spec.errors import SpecError
from cascade.spec.protocols import Codec

if TYPE_CHECKING:
    from cascade.adapters.values.kept_values import KeptValues

Part = TypeVar("Part")

CODEC, VALUES, VALUES_OVER = "codec", "values", "values_over"
SHARED_OPTIONS = (CODEC, VALUES, VALUES_OVER)
"""The settings of stores that serve the cache too."""
STATE_OPTIONS = tuple(name for name in StoreSettings.__annotations__ if name not in SHARED_OPTIONS)
"""The settings that only a state of a URL takes."""


def state_of(settings: Mapping[str, object]) -> StateBackendFactory | None:
    """Return what makes the state backend of a run; `None` for the one in memory.

    Raises:
        SpecError: If the URL is wrong, or a setting is given that only a state of a URL takes.
    """
    state = _either(settings, "state", "state_backend_cls")
    options = {name: value for name, value in part_of(settings, STATE_OPTIONS).items() if value is not None}
    shared = shared_options(settings)
    if isinstance(state, str):
        return urls.state_from_url(state, **options, **shared)
    if not isinstance(settings.get("cache"), str):
        options.update(shared)
    if options:
        names = " and ".join(options)
        raise SpecError(
            f"{names} without the URL of a store", "give state= as a URL, or hand it to the backend"
        )
    if state is not None and not callable(state):
        raise SpecError(f"a state of type {type(state).__name__}", f"give {_FORMS} that is made with run_id=")
    made: StateBackendFactory | None = state
    return made


@runtime_checkable
class KeepsOpen(Protocol):
    """What makes state backends, and can keep something open between runs."""

    def keep_open(self) -> None:
        """Keep it open from the next run on."""

    async def close(self) -> None:
        """Close it."""


def kept_open(settings: Mapping[str, object], state: StateBackendFactory | None) -> KeepsOpen | None:
    """Let the store of a URL, which `state_of` has read, stay open between runs; return what is to be closed then."""
    if not isinstance(_either(settings, "state", "state_backend_cls"), str) or not isinstance(
        state, KeepsOpen
    ):
        return None
    state.keep_open()
    return state


def cache_maker(settings: Mapping[str, object]) -> Callable[[], tuple[CacheBackend, bool]]:
    """Return a function that opens the cache; it returns the cache, and whether it is to be closed with the engine.

    Nothing is opened before it is called.

    Raises:
        SpecError: If the URL is wrong, or what is given is no cache.
    """
    cache = _either(settings, "cache", "cache_backend")
    if cache is None:
        return partial(_cache_in_memory, settings)
    if isinstance(cache, str):
        opened = urls.cache_factory(cache, **shared_options(settings))
        return lambda: (opened(), True)
    if not (hasattr(cache, "get") and hasattr(cache, "put")):
        raise SpecError(f"a cache of type {type(cache).__name__}", f"give {_FORMS}")
    return lambda: (cache, False)


def codec_of(settings: Mapping[str, object]) -> Codec | None:
    """Return the codec that settings ask for; `None` where each store has its own.

    Raises:
        SpecError: If what is given is no codec.
    """
    given: Any = settings.get(CODEC)
    if isinstance(given, str):
        from cascade.adapters.codec.codec_words import codec_from_word  # noqa: PLC0415 - who keeps nothing needs none

        return codec_from_word(given)
    return None if given is None else checked_part(CODEC, given, "encode", "decode")


def values_of(settings: Mapping[str, object]) -> KeptValues | None:
    """Return the value store that settings ask for, and which values go there; `None` if they ask for none.

    Raises:
        SpecError: If the URL is wrong, or a bound is given that is none, or that has no value store.
        MissingExtraError: If the extra for the URL is not installed.
        MissingDriverError: If the driver for its scheme is not.
    """
    given: Any = settings.get(VALUES)
    over: Any = settings.get(VALUES_OVER)
    if over is not None and (isinstance(over, bool) or not isinstance(over, int) or over < 0):
        raise SpecError(f"{VALUES_OVER}={over!r}", "give a whole number of bytes: values_over=1_000_000")
    if given is None:
        if over is not None:
            raise SpecError(
                f"{VALUES_OVER}= without {VALUES}=", "give the URL of a value store as values= too"
            )
        return None
    from cascade.adapters.values.kept_values import KeptValues  # noqa: PLC0415 - who keeps nothing needs none

    if isinstance(given, str):
        store = value_store_from_url(given)
    else:
        store = checked_part(VALUES, given, "put", "get", "delete", "names")
    return KeptValues(store) if over is None else KeptValues(store, over)


def shared_options(settings: Mapping[str, object]) -> dict[str, Any]:
    """Return the settings that the stores of a run and of a cache both take, as far as they are given."""
    found = {CODEC: codec_of(settings), VALUES: values_of(settings)}
    return {name: option for name, option in found.items() if option is not None}


def _cache_in_memory(settings: Mapping[str, object]) -> tuple[CacheBackend, bool]:
    """Return the cache of an engine that is given none, and True: it is closed with the engine.

    Where runs are recorded it hands each caller an object of its own. A run that goes on reads such objects from its
    store, too: so it gives what it would have given without an interruption.
    """
    if not isinstance(_either(settings, "state", "state_backend_cls"), str):
        return InMemoryCacheBackend(), True
    from cascade.adapters.codec.data_codec import DataCodec  # noqa: PLC0415 - who keeps nothing needs none

    return InMemoryCacheBackend(codec=codec_of(settings) or DataCodec()), True


def checked_part(setting: str, given: Part, *methods: str) -> Part:
    """Return what was given for a setting; it must have these methods.

    Raises:
        SpecError: If it has not, or is a class in place of an object.
    """
    if isinstance(given, type) or not all(hasattr(given, name) for name in methods):
        what = f"the class {given.__name__}" if isinstance(given, type) else f"{type(given).__name__}"
        calls = " and ".join(f"`{name}`" for name in methods)
        raise SpecError(f"{setting}= got {what}", f"give an object with {calls}")
    return given


_FORMS = "a URL as text (sqlite:///file.db, redis://host:6379/0, postgresql://host/database), or a backend"


def _either(settings: Mapping[str, object], name: str, older: str) -> Any:
    value, old = settings.get(name), settings.get(older)
    if value is not None and old is not None:
        raise SpecError(f"both {name}= and {older}=", f"give {name}= alone: {older} is its older spelling")
    return old if value is None else value
