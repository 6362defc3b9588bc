"""Size hints: whether a value is likely to have many bytes, found without encoding it."""

from __future__ import annotations

from itertools import islice
from typing import Any

SMALL = frozenset({type(None), bool, int, float, complex})
"""Types whose values have few bytes."""
_TEXTS = frozenset({str, bytes, bytearray})
_LISTS = frozenset({list, tuple, set, frozenset})
_LOOKED_AT = 8
"""How many items of a container are looked at: the others are taken to be like them."""
_FEW = 100
"""Of a container with fewer items it is found at once whether all of them are small."""
_DEPTH = 3
_ITEM_BYTES = 8


def size_hint(value: Any, depth: int = _DEPTH) -> int:
    """Return about how many bytes a value has. It takes a few microseconds, whatever the value."""
    # Once per recorded value of a run with a value store: watched by observatory/benchmarks/bench_durability.py.
    kind = type(value)
    if kind in SMALL:
        return 1
    if kind in _TEXTS:
        return len(value)
    if kind in _LISTS:
        return _of_items(value, value, depth)
    if kind is dict:
        return _of_items(value, value.values(), depth) + len(value)
    for name, bytes_each in (("nbytes", 1), ("size", _ITEM_BYTES)):  # arrays; frames count their cells
        found = getattr(value, name, None)
        if type(found) is int:
            return found * bytes_each
    fields = getattr(value, "__dict__", None)
    return _of_items(fields, fields.values(), depth) if type(fields) is dict else 1


def _of_items(container: Any, items: Any, depth: int) -> int:
    count = len(container)
    if not depth or not count or (count < _FEW and {*map(type, items)} <= SMALL):
        return count
    looked_at = [size_hint(each, depth - 1) for each in islice(items, _LOOKED_AT)]
    return count * sum(looked_at) // len(looked_at)
