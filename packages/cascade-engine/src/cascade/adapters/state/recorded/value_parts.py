"""Value parts: lists of large values, such as those of a map, of which a fact has the list and points to each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from cascade.adapters.codec.marked_form import MarkedForm
from cascade.adapters.state.recorded.stored_handle import StoredHandle
from cascade.adapters.values.value_pointer import ValuePointer
from cascade.spec.errors import DamagedDataError

_FORM = MarkedForm(b"\xfdcascade parts\x00", 1, "list of large values")
_MARK = _FORM.mark

_Place: TypeAlias = tuple[int, ...]
"""Where a part stands: the position in each list, tuple or dict on the way to it."""


class Parts(NamedTuple):
    """A value of which some parts lie in the value store: the rest as bytes of the codec, and where each part is."""

    rest: bytes
    places: list[_Place]
    pointers: list[ValuePointer]

    @classmethod
    def read(cls, data: bytes, key: bytes) -> Parts:
        """Return the parts of these bytes, which belong to this store key.

        Raises:
            DamagedDataError: If they are none.
        """
        return _FORM.read(cls, data, key)

    def sealed(self, key: bytes) -> bytes:
        """Return the parts as bytes, which can be read only under the same store key."""
        return _FORM.sealed(self, key)


def are_parts(data: bytes) -> bool:
    """Tell whether bytes in a store are those of parts."""
    return data.startswith(_MARK)


_CONTAINERS = frozenset({list, tuple, dict})


def holds_handle(value: Any) -> bool:
    """Tell whether a value is a handle, or a list, tuple or dict that has one inside."""
    kind = type(value)
    if kind not in _CONTAINERS:
        return kind is StoredHandle
    # Once per list that a run records which has handles: the types of its items are found without a step for each.
    items = value.values() if kind is dict else value
    kinds = {*map(type, items)}
    return StoredHandle in kinds or (not kinds.isdisjoint(_CONTAINERS) and any(map(holds_handle, items)))


def taken_apart(value: object) -> tuple[object, dict[_Place, StoredHandle]]:
    """Return a value with `None` in the places of handles, and these handles."""
    found: dict[_Place, StoredHandle] = {}
    return _without(value, (), found), found


def _without(value: Any, place: _Place, found: dict[_Place, StoredHandle]) -> Any:
    kind = type(value)
    if kind is StoredHandle:
        found[place] = value
        return None
    if kind is dict:
        return {key: _without(each, (*place, at), found) for at, (key, each) in enumerate(value.items())}
    if kind in (list, tuple):
        return kind(_without(each, (*place, at), found) for at, each in enumerate(value))
    return value


def put_together(rest: Any, parts: Mapping[_Place, object]) -> Any:
    """Return a value with the parts in their places.

    Raises:
        DamagedDataError: If it has no such places.
    """
    for place, part in parts.items():
        rest = _with(rest, place, part)
    return rest


def _with(value: Any, place: Sequence[int], part: object) -> Any:
    if not place:
        return part
    at, kind = place[0], type(value)
    if kind not in (list, tuple, dict) or not 0 <= at < len(value):
        raise DamagedDataError("a list of large values has no place for one of them")
    if kind is tuple:
        return (*value[:at], _with(value[at], place[1:], part), *value[at + 1 :])
    key = [*value][at] if kind is dict else at
    value[key] = _with(value[key], place[1:], part)
    return value
