"""Objects as bytes for a cluster: code of `__main__` and of notebooks goes by value, handles become numbered places.

The bytes go to workers of one run and come back. They are never put into a store, nor into a key.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import cloudpickle

from cascade.adapters.executors.chunks import EarlierResult
from cascade.adapters.executors.remote_calls.remote_handles import RemoteHandle
from cascade.adapters.executors.remote_calls.travelling_tasks import Locations, reduce_resource, reduce_task
from cascade.adapters.executors.worker_processes.exception_pickling import reduce_exception
from cascade.spec.resource import Resource
from cascade.spec.task import Task

_PLAIN = frozenset({type(None), bool, int, float, str, bytes})
"""Types whose values Python's own pickler writes as they are."""

_BUILT_IN = _PLAIN | {tuple, list, dict, set, frozenset}
"""Types that no place is of: to ask an abstract class for its instances takes longer."""

Buffer = pickle.PickleBuffer | memoryview | bytes | bytearray

_locations = Locations()


class HandlePlaces:
    """The handles that were met in what was encoded, each once, in the order of their numbers."""

    def __init__(self) -> None:
        self.handles: list[RemoteHandle] = []
        self._numbers: dict[int, int] = {}

    def number_of(self, handle: RemoteHandle) -> int:
        """Return the number of the place that a handle's value is put in."""
        number = self._numbers.get(id(handle))
        if number is None:
            number = self._numbers[id(handle)] = len(self.handles)
            self.handles.append(handle)
        return number


class _Pickler(pickle.Pickler):
    dispatch_table = cloudpickle.Pickler.dispatch_table

    def __init__(
        self,
        file: Any,
        places: HandlePlaces | None,
        odd: frozenset[str],
        take_buffer: Callable[[pickle.PickleBuffer], None] | None = None,
    ) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL, buffer_callback=take_buffer)
        self._places = places
        self._odd = odd
        self._by_value: cloudpickle.Pickler | None = None  # tells how functions and classes are pickled

    def persistent_id(self, value: object) -> int | None:
        return None if self._places is None else _place_of(value, self._places)

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Task):
            return reduce_task(value, self._odd)
        if isinstance(value, Resource):
            return reduce_resource(value, self._odd)
        reduced = reduce_exception(value)
        if reduced is not NotImplemented:
            return reduced
        if self._by_value is None:
            self._by_value = cloudpickle.Pickler(io.BytesIO())
        return self._by_value.reducer_override(value)


class _NotPlainError(Exception):
    """Something is neither a plain value nor a container of such values."""


class _PlainPickler(pickle.Pickler):
    """Writes plain values in plain containers, and places; what else it meets is for the pickler above."""

    def __init__(self, file: Any, places: HandlePlaces) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._places = places

    def persistent_id(self, value: object) -> int | None:
        return None if type(value) in _BUILT_IN else _place_of(value, self._places)

    def reducer_override(self, value: object) -> NoReturn:
        raise _NotPlainError


def _place_of(value: object, places: HandlePlaces) -> int | None:
    """Return the number of a place: that of a handle counts up from 0, and that of an earlier result down from -1."""
    if isinstance(value, RemoteHandle):
        return places.number_of(value)
    return -1 - value.position if isinstance(value, EarlierResult) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, values: Sequence[object], earlier: Sequence[object]) -> None:
        super().__init__(file)
        self._values = values
        self._earlier = earlier

    def persistent_load(self, number: int) -> object:
        return self._values[number] if number >= 0 else self._earlier[-1 - number]


def encode(value: object, places: HandlePlaces | None = None) -> bytes:
    """Return an object as bytes; `places` takes the handles in it.

    Raises:
        BaseException: Whatever a user's object raises, among it that it can't be pickled.
    """
    file = io.BytesIO()
    encode_to(file, value, places)
    return file.getvalue()


def encode_to(file: Any, value: object, places: HandlePlaces | None = None) -> None:
    """Write an object as bytes to what has a `write`; see `encode`."""
    odd = _locations.odd()
    with _by_value(odd):
        _Pickler(file, places, odd).dump(value)


def encode_with_buffers(value: object, take_buffer: Callable[[pickle.PickleBuffer], None]) -> bytes:
    """Return an object as bytes, without its large buffers: of those no copy is made. See `encode`."""
    file = io.BytesIO()
    odd = _locations.odd()
    with _by_value(odd):
        _Pickler(file, None, odd, take_buffer).dump(value)
    return file.getvalue()


def encode_arguments(args: tuple[object, ...], kwargs: dict[str, object], places: HandlePlaces) -> bytes:
    """Return the arguments of a call as bytes; see `encode`."""
    # Once per call on a cluster: most arguments are plain, and nothing in them goes by value.
    if all(type(each) in _PLAIN for each in args) and all(type(each) in _PLAIN for each in kwargs.values()):
        return pickle.dumps((args, kwargs), pickle.HIGHEST_PROTOCOL)
    file = io.BytesIO()
    try:
        _PlainPickler(file, places).dump((args, kwargs))
    except _NotPlainError:
        return encode((args, kwargs), places)
    return file.getvalue()


def encode_value(value: object) -> bytes:
    """Return a value as bytes; see `encode`."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL) if type(value) in _PLAIN else encode(value)


def decode(payload: bytes | memoryview, values: Sequence[object] = (), earlier: Sequence[object] = ()) -> Any:
    """Return what was encoded, with `values` in the numbered places, and `earlier` results in theirs.

    Raises:
        BaseException: Whatever a user's class raises when its objects are made.
    """
    if values or earlier:
        return _Unpickler(io.BytesIO(payload), values, earlier).load()
    return pickle.loads(payload)


def decode_with_buffers(payload: Buffer, buffers: Sequence[Buffer]) -> Any:
    """Return what `encode_with_buffers` was given; it has the very buffers. See `decode`."""
    return pickle.loads(payload, buffers=buffers)


@contextmanager
def _by_value(modules: frozenset[str]) -> Iterator[None]:
    """Let cloudpickle take the code of these modules by value: workers can't import them."""
    if not modules:
        yield
        return
    registered = [
        sys.modules[name]
        for name in modules
        if name in sys.modules and name not in cloudpickle.list_registry_pickle_by_value()
    ]
    for module in registered:
        cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


class _IsLarge(BaseException):
    """More bytes came than a small value has."""


class _Bounded:
    """Takes what a pickler writes, up to a size."""

    def __init__(self, size: int) -> None:
        self.parts: list[bytes] = []
        self._left = size

    def write(self, data: bytes | memoryview) -> int:
        size = memoryview(data).nbytes
        self._left -= size
        if self._left < 0:
            raise _IsLarge
        self.parts.append(bytes(data))
        return size


def encode_if_small(value: object, size: int) -> bytes | None:
    """Return a value as bytes, or `None` if it has more than `size`. Of a large buffer no copy is made.

    Raises:
        BaseException: Whatever a user's object raises, among it that it can't be pickled.
    """
    file = _Bounded(size)
    try:
        encode_to(file, value)
    except _IsLarge:
        return None
    return b"".join(file.parts)
