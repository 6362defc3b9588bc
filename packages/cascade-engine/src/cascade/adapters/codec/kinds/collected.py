"""Python's own collections as data: `Counter`, `OrderedDict`, `defaultdict`, `deque`."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

from cascade.adapters.codec.unsupported import Packed, UnsupportedError

_FACTORIES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
} | {kind.__name__: kind for kind in (Counter, OrderedDict, deque)}
"""What a `defaultdict` may make its values with: classes that make an empty value and run no code of anybody's."""
_NAMES = {kind: name for name, kind in _FACTORIES.items()}


def _check_bare(value: Any) -> None:
    """Check that an instance has no attributes, which would be lost."""
    if getattr(value, "__dict__", None):
        raise UnsupportedError("give it no attributes, or register the type with DataType")


def _dict(content: object) -> dict[Any, Any]:
    if type(content) is not dict:
        raise ValueError("no dict")
    return content


def _pack_counter(value: Counter[Any]) -> Packed:
    _check_bare(value)
    return Packed(None, [dict(value)], [""])


def _unpack_counter(head: None, parts: list[Any]) -> object:
    (content,) = parts
    made: Counter[Any] = Counter()
    dict.update(made, _dict(content))
    return made


def _pack_ordered(value: OrderedDict[Any, Any]) -> Packed:
    _check_bare(value)
    return Packed(None, [dict(value)], [""])


def _unpack_ordered(head: None, parts: list[Any]) -> object:
    (content,) = parts
    return OrderedDict(_dict(content).items())


def _pack_default(value: defaultdict[Any, Any]) -> Packed:
    factory = value.default_factory
    try:
        name = None if factory is None else _NAMES[factory]
    except (KeyError, TypeError):
        raise UnsupportedError(
            f"a factory is code: store dict(value), or use one of {', '.join(sorted(_FACTORIES))} as the factory"
        ) from None
    return Packed(name, [dict(value)], [""])


def _unpack_default(head: str | None, parts: list[Any]) -> object:
    (content,) = parts
    return defaultdict(None if head is None else _FACTORIES[head], _dict(content))


def _pack_deque(value: deque[Any]) -> Packed:
    return Packed(value.maxlen, [list(value)], [""])


def _unpack_deque(head: int | None, parts: list[Any]) -> object:
    (content,) = parts
    if type(content) is not list or (head is not None and len(content) > head):
        raise ValueError("more than it has room for")
    return deque(content, head)


KINDS = {
    "collections.Counter": (_pack_counter, _unpack_counter),
    "collections.OrderedDict": (_pack_ordered, _unpack_ordered),
    "collections.defaultdict": (_pack_default, _unpack_default),
    "collections.deque": (_pack_deque, _unpack_deque),
}
"""By name, how each kind is packed and unpacked."""
