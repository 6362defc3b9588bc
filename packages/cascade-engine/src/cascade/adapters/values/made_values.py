"""Made values: large values that a worker has put into the value store of a recorded run.

A worker encodes such a value with the run's codec and puts it there. Only its digest and size travel home.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache
from secrets import token_hex
from typing import Any, NamedTuple

from cascade.adapters.values.large_results import MadeValue
from cascade.adapters.values.value_pointer import put_value
from cascade.adapters.values.value_store import ValueStore
from cascade.spec.calls.quoting import Quoted
from cascade.spec.protocols import Codec


class ResultPlace(NamedTuple):
    """Where results of more than `over` bytes go: encoded by `codec` under `key`, to a folder of `store`."""

    store: ValueStore
    folder: str
    over: int
    codec: Codec
    key: bytes

    def packed(self) -> bytes | None:
        """Return it as bytes for a worker; `None` if the store or the codec can't travel: then all values come home."""
        try:
            return pickle.dumps(self, pickle.HIGHEST_PROTOCOL)
        except Exception:  # noqa: BLE001 - whatever the objects of a user raise
            return None


def told_result(packed: bytes, value: object, dumps: Callable[[Any], bytes]) -> bytes:
    """Return what a worker sends home of a result, encoded by `dumps`: the value, or where it has put it.

    A value that the codec refuses, or that can't be put, is sent as it is: at home this is tried again, and told.

    Raises:
        BaseException: What `dumps` raises.
    """
    body = dumps(value)
    place = place_of(packed)
    if place is None or 2 * len(body) <= place.over:  # hardly large in another form
        return body
    try:
        data = place.codec.encode(value.value if type(value) is Quoted else value, key=place.key)
        if len(data) <= place.over:
            return body
        # Nobody sees what other workers write: a tag of its own keeps the value apart from those that are removed.
        pointer = put_value(place.store, place.folder, data, safe=True, tag=token_hex(8))
    except Exception:  # noqa: BLE001 - whatever a codec or a store of the user's raises
        return body
    return pickle.dumps(MadeValue(pointer), pickle.HIGHEST_PROTOCOL)


@lru_cache(maxsize=8)
def place_of(packed: bytes) -> ResultPlace | None:
    """Return what `ResultPlace.packed` was made of; `None` if it can't be loaded here."""
    try:
        place: ResultPlace = pickle.loads(packed)
    except Exception:  # noqa: BLE001 - a class that this worker does not find: values go home as they are
        return None
    return place
