"""Python's own collections as data: `Counter`, `OrderedDict`, `defaultdict`, `deque`."""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict, deque

from cascade.adapters.codec.library_types.packed import Packed, Packer, Unpacker
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Foreign

_FACTORIES: dict[str, type] = {
    kind.__name__: kind
    for kind in (bool, bytearray, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)
} | {kind.__name__: kind for kind in (Counter, OrderedDict, deque)}
"""What a `defaultdict` may make its values with: classes that make an empty value and run no code of anybody's."""
_NAMES: dict[object, str] = {kind: name for name, kind in _FACTORIES.items()}


def _check_bare(value: object) -> None:
    """Check that an instance has no attributes, which would be lost."""
    if getattr(value, "__dict__", None):
        raise UnsupportedError("give it no attributes, or register the type with DataType")


def _dict(content: object) -> dict[object, Foreign]:
    if type(content) is not dict:
        raise ValueError("no dict")
    return content


def _pack_counter(value: Counter[object]) -> Packed:
    _check_bare(value)
    return Packed(None, [dict(value)], [""])


def _unpack_counter(head: None, parts: list[object]) -> object:
    (content,) = parts
    made: Counter[Foreign] = Counter()
    dict.update(made, _dict(content))
    return made


def _pack_ordered(value: OrderedDict[object, object]) -> Packed:
    _check_bare(value)
    return Packed(None, [dict(value)], [""])


def _unpack_ordered(head: None, parts: list[object]) -> object:
    (content,) = parts
    return OrderedDict(_dict(content).items())


def _pack_default(value: defaultdict[object, object]) -> Packed:
    factory = value.default_factory
    try:
        name = None if factory is None else _NAMES[factory]
    except (KeyError, TypeError):
        raise UnsupportedError(
            f"a factory is code: store dict(value), or use one of {', '.join(sorted(_FACTORIES))} as the factory"
        ) from None
    return Packed(name, [dict(value)], [""])


def _unpack_default(head: str | None, parts: list[object]) -> object:
    (content,) = parts
    return defaultdict(None if head is None else _FACTORIES[head], _dict(content))


def _pack_deque(value: deque[object]) -> Packed:
    return Packed(value.maxlen, [list(value)], [""])


def _unpack_deque(head: int | None, parts: list[object]) -> object:
    (content,) = parts
    if type(content) is not list or (head is not None and len(content) > head):
        raise ValueError("more than it has room for")
    return deque(content, head)


TYPES: dict[str, tuple[Packer, Unpacker]] = {
    "collections.Counter": (_pack_counter, _unpack_counter),
    "collections.OrderedDict": (_pack_ordered, _unpack_ordered),
    "collections.defaultdict": (_pack_default, _unpack_default),
    "collections.deque": (_pack_deque, _unpack_deque),
}
"""By name, how values of each type are packed and unpacked."""
