"""The types of libraries that the codec stores: those of NumPy, pandas and Python's own `collections`, by name.

Nothing is imported: a value of NumPy shows that NumPy is loaded, and stored data of NumPy is read only where it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cascade.adapters.codec.library_types import (
    collection_types,
    numpy_arrays,
    pandas_columns,
    pandas_frames,
    pandas_indexes,
    pandas_scalars,
)
from cascade.adapters.codec.library_types.packed import Packer, Unpacker
from cascade.adapters.codec.untyped import Foreign
from cascade.spec.errors import DamagedDataError, StoredReferenceError
from cascade.spec.source.references import find_loaded, reference_of


class LibraryType(NamedTuple):
    """How the values of one type of a library are packed and unpacked.

    `name` stands in stored data and begins with the package that has to be loaded. `is_key` is true if a value may be
    a dict key or a set member: hashing it runs the library's own code and no other. `hashed` returns the parts that are
    hashed when the value is made.
    """

    name: str
    pack: Packer
    unpack: Unpacker
    is_key: bool
    hashed: Callable[[Sequence[Foreign]], list[object]] | None


_MODULES = (collection_types, numpy_arrays, pandas_frames, pandas_indexes, pandas_columns, pandas_scalars)
_KEYS = numpy_arrays.KEYS | pandas_scalars.KEYS
_BY_NAME = {
    name: LibraryType(name, pack, unpack, name in _KEYS, pandas_indexes.HASHED.get(name))
    for module in _MODULES
    for name, (pack, unpack) in module.TYPES.items()
}
_BY_CLASS: dict[type, LibraryType | None] = {}  # of the libraries' own classes only: no more than there are
_PACKAGES = frozenset({"collections", "numpy", "pandas"})


def library_type_of(cls: type) -> LibraryType | None:
    """Return how values of exactly this class are stored; `None` if it is no class of these libraries."""
    if cls in _BY_CLASS:
        return _BY_CLASS[cls]
    module, qualname = reference_of(cls)
    package = module.partition(".")[0]
    if package not in _PACKAGES:
        return None
    name = f"{package}.{qualname}"
    if package == "numpy" and numpy_arrays.is_scalar(cls):
        name = numpy_arrays.SCALAR
    elif package == "pandas" and name not in _BY_NAME:
        name = pandas_scalars.name_of_missing(cls) or pandas_columns.name_of_column_type(cls)
    elif find_loaded(package, qualname) is not cls and find_loaded(module, qualname) is not cls:
        return None
    found = _BY_CLASS[cls] = _BY_NAME.get(name)
    return found


def library_type_named(name: str) -> LibraryType:
    """Return the type of that name.

    Raises:
        StoredReferenceError: If its package is not imported.
        DamagedDataError: If there is no such type.
    """
    found = _BY_NAME.get(name)
    if found is None:
        raise DamagedDataError("it names a kind of value that this codec does not know")
    package = name.partition(".")[0]
    if package not in sys.modules:
        raise StoredReferenceError(f"a {name}", f"{package} is not imported", f"import {package} first")
    return found


def unpack(library_type: LibraryType, head: object, parts: list[object]) -> object:
    """Return the value that was packed so.

    Raises:
        StoredReferenceError: If something that it needs is missing.
        DamagedDataError: If this is no value of the type.
    """
    try:
        return library_type.unpack(head, parts)
    except (StoredReferenceError, DamagedDataError):
        raise
    except Exception as problem:  # libraries raise whatever they like of data that makes no sense
        raise DamagedDataError(f"it is not a {library_type.name} ({type(problem).__name__})") from problem
