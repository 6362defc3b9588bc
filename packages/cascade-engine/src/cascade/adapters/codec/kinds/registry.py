"""Kinds: values of libraries as data. What is known of NumPy, pandas and Python's own collections, found by name.

Nothing is imported: a value of NumPy shows that NumPy is loaded, and stored data of NumPy is read only where it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from cascade.adapters.codec.kinds import arrays, collected
from cascade.adapters.codec.kinds import data_frames as frames
from cascade.adapters.codec.unsupported import Packed
from cascade.spec.errors import DamagedDataError, StoredReferenceError
from cascade.spec.source.references import find_loaded, reference_of


class Kind(NamedTuple):
    """How values of one kind are packed and unpacked.

    `name` stands in stored data and begins with the package that has to be loaded. `is_key` tells whether a value may
    be a dict key or a set member: hashing it runs the library's own code and no other. `hashed` gives the parts that
    are hashed when the value is made.
    """

    name: str
    pack: Callable[[Any], Packed]
    unpack: Callable[[Any, Any], object]
    is_key: bool
    hashed: Callable[[Sequence[Any]], list[object]] | None


_KINDS: dict[str, Kind] = {
    name: Kind(name, pack, unpack, name in arrays.KEYS | frames.KEYS, frames.HASHED.get(name))
    for module in (collected, arrays, frames)
    for name, (pack, unpack) in module.KINDS.items()
}
_KNOWN: dict[type, Kind | None] = {}  # of the libraries' own classes only: no more than there are
_PACKAGES = frozenset({"collections", "numpy", "pandas"})


def kind_of(cls: type) -> Kind | None:
    """Return the kind of values of exactly this class, if they are of one."""
    if cls in _KNOWN:
        return _KNOWN[cls]
    module, qualname = reference_of(cls)
    package = module.partition(".")[0]
    if package not in _PACKAGES:
        return None
    name = f"{package}.{qualname}"
    if package == "numpy" and arrays.is_scalar(cls):
        name = arrays.SCALAR
    elif package == "pandas" and name not in _KINDS:
        name = frames.name_of_array(cls)
    elif find_loaded(package, qualname) is not cls and find_loaded(module, qualname) is not cls:
        return None
    kind = _KNOWN[cls] = _KINDS.get(name)
    return kind


def kind_named(name: str) -> Kind:
    """Return the kind of that name.

    Raises:
        StoredReferenceError: If the package of the kind is not imported.
        DamagedDataError: If there is no such kind.
    """
    kind = _KINDS.get(name)
    if kind is None:
        raise DamagedDataError("it names a kind of value that this codec does not know")
    package = name.partition(".")[0]
    if package not in sys.modules:
        raise StoredReferenceError(f"a {name}", f"{package} is not imported", f"import {package} first")
    return kind


def unpack(kind: Kind, head: object, parts: list[Any]) -> object:
    """Return the value that is packed so.

    Raises:
        StoredReferenceError: If something is missing that it needs.
        DamagedDataError: If this is no value of the kind.
    """
    try:
        return kind.unpack(head, parts)
    except (StoredReferenceError, DamagedDataError):
        raise
    except Exception as problem:  # libraries raise whatever they like of data that makes no sense
        raise DamagedDataError(f"it is not a {kind.name} ({type(problem).__name__})") from problem
