"""NumPy's arrays and scalars as data: the type, the shape, and the bytes; of objects, the elements.

NumPy is taken from the modules that are loaded. The bytes of an array are read as numbers, times and text, never as
references to objects.
"""

from __future__ import annotations

import sys
from math import prod

from cascade.adapters.codec.leaves import pack_text, unpack_text
from cascade.adapters.codec.library_types.packed import Packed, Packer, Unpacker
from cascade.adapters.codec.unsupported import UnsupportedError
from cascade.adapters.codec.untyped import Decoded, Foreign

SCALAR = "numpy.generic"
_BYTES = frozenset("biufcmMSU")
"""The kinds of types whose elements are their bytes."""
_DEEPEST_TYPE = 16


def _numpy() -> Foreign:
    return sys.modules["numpy"]


def is_scalar(cls: type) -> bool:
    """Tell whether a class is one of NumPy's own scalars."""
    return issubclass(cls, _numpy().generic)


def pack_array(value: Foreign) -> Packed:
    """Take an array apart: its type, its shape, its bytes or elements."""
    kind = value.dtype
    shape = list(value.shape)
    if kind.kind == "O":
        return Packed(["O", shape, "C"], [value.ravel().tolist()], [".flat"])
    if kind.kind == "T":
        texts = [each if isinstance(each, str) else None for each in value.ravel().tolist()]
        return Packed(["T", shape, "C", _pack_missing(kind)], [texts], [".flat"])
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    return Packed([_pack_type(kind), shape, order], [value.tobytes(order=order)], [""])


def unpack_array(head: list[Decoded], parts: list[Foreign]) -> Foreign:
    """Make the array. It has its own memory, and can be written to."""
    described, shape, order, *more = head
    (part,) = parts
    numpy = _numpy()
    if not all(type(each) is int and each >= 0 for each in shape):
        raise ValueError("a shape that is none")
    if described in ("O", "T"):
        kind = numpy.dtype(object) if described == "O" else _unpack_text_type(*more)
        return _filled(kind, shape, part)
    kind = _unpack_type(described)
    if type(part) is not bytes or len(part) != prod(shape) * kind.itemsize:
        raise ValueError("not as many bytes as the shape says")
    if not part:
        return numpy.empty(shape, kind, order)
    return numpy.frombuffer(bytearray(part), kind).reshape(shape, order=order)


def _filled(kind: Foreign, shape: list[int], elements: list[Foreign]) -> Foreign:
    if type(elements) is not list or len(elements) != prod(shape):
        raise ValueError("not as many elements as the shape says")
    made = _numpy().empty(len(elements), kind)
    for index, each in enumerate(elements):  # one by one: a list of lists would be taken for more dimensions
        made[index] = made.dtype.na_object if each is None and kind.kind == "T" else each
    return made.reshape(shape)


def _pack_missing(kind: Foreign) -> list[object]:
    """Return which value stands for a missing one in a type of text."""
    missing = getattr(kind, "na_object", "")
    if missing == "" or missing is None:
        return ["none" if missing is None else "", bool(kind.coerce)]
    if isinstance(missing, float) and missing != missing:
        return ["nan", bool(kind.coerce)]
    raise UnsupportedError("use a StringDType whose na_object is None or nan")


def _unpack_text_type(packed: list[Decoded]) -> Foreign:
    missing, coerce = packed
    given = {} if missing == "" else {"na_object": {"none": None, "nan": float("nan")}[missing]}
    return _numpy().dtypes.StringDType(coerce=bool(coerce), **given)


def _pack_type(kind: Foreign) -> object:
    """Return a type as data: its name, its fields, or the array that each element is."""
    if kind.itemsize == 0 and kind.kind in "SUV":
        raise UnsupportedError("give its elements a size")
    if kind.kind in _BYTES:
        return str(kind.str)
    if kind.hasobject or kind.kind != "V":
        raise UnsupportedError(f"store the parts of its type {kind} one by one")
    if kind.subdtype is not None:
        base, shape = kind.subdtype
        return ["array", _pack_type(base), list(shape)]
    if kind.names is None:
        return str(kind.str)
    fields = [kind.fields[name] for name in kind.names]
    return [
        "fields",
        [pack_text(name) for name in kind.names],
        [_pack_type(each[0]) for each in fields],
        [each[1] for each in fields],
        kind.itemsize,
        bool(kind.isalignedstruct),
    ]


def _unpack_type(packed: Decoded, depth: int = 0) -> Foreign:
    numpy = _numpy()
    if depth > _DEEPEST_TYPE:
        raise ValueError("a type inside too many others")
    if type(packed) is str:
        kind = numpy.dtype(packed)
        if kind.kind not in "biufcmMSUV" or kind.hasobject:
            raise ValueError("a type that has no bytes")
    elif packed[0] == "array":
        kind = numpy.dtype((_unpack_type(packed[1], depth + 1), tuple(packed[2])))
    else:
        _, names, formats, offsets, size, aligned = packed
        kind = numpy.dtype(
            {
                "names": [unpack_text(name) for name in names],
                "formats": [_unpack_type(each, depth + 1) for each in formats],
                "offsets": list(offsets),
                "itemsize": size,
            },
            align=bool(aligned),
        )
    if kind.itemsize == 0:
        raise ValueError("a type without a size")
    return kind


def _pack_scalar(value: Foreign) -> Packed:
    numpy = _numpy()
    if type(value) is numpy.str_:
        return Packed("str", [str(value)], [""])
    if type(value) is numpy.bytes_:
        return Packed("bytes", [bytes(value)], [""])
    if value.dtype.kind not in _BYTES and value.dtype.kind != "V":
        raise UnsupportedError("store a plain value in its place")
    return Packed(["scalar", _pack_type(value.dtype)], [value.tobytes()], [""])


def _unpack_scalar(head: Decoded, parts: list[Foreign]) -> object:
    numpy = _numpy()
    (part,) = parts
    if head in ("str", "bytes"):
        if type(part) is not (str if head == "str" else bytes):
            raise ValueError("no text")
        return numpy.str_(part) if head == "str" else numpy.bytes_(part)
    _, described = head
    return unpack_array([described, [1], "C"], parts)[0]


TYPES: dict[str, tuple[Packer, Unpacker]] = {
    "numpy.ndarray": (pack_array, unpack_array),
    SCALAR: (_pack_scalar, _unpack_scalar),
}
"""By name, how values of each type are packed and unpacked."""

KEYS = frozenset({SCALAR})
"""The types whose values may be dict keys."""
