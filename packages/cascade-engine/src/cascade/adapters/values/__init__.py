"""Value stores: large values in a folder or a bucket, under names that have the digests of their content."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from cascade.adapters.values.pointer import LARGE, Pointer
from cascade.adapters.values.value_files import FileValueStore
from cascade.adapters.values.value_store import ValueStore
from cascade.adapters.values.value_urls import value_store_from_url

if TYPE_CHECKING:
    from cascade.adapters.values.bucket_values import BucketValueStore, MissingDriverError
    from cascade.adapters.values.kept_values import KeptValues
    from cascade.adapters.values.value_pointer import OVER, ValuePointer

__all__ = [
    "LARGE",
    "OVER",
    "BucketValueStore",
    "FileValueStore",
    "KeptValues",
    "MissingDriverError",
    "Pointer",
    "ValuePointer",
    "ValueStore",
    "value_store_from_url",
]

# Loaded on first use: they bring the codec of pointers.
_HOMES = {
    **dict.fromkeys(("BucketValueStore", "MissingDriverError"), "bucket_values"),
    "KeptValues": "kept_values",
    **dict.fromkeys(("OVER", "ValuePointer"), "value_pointer"),
}

if not TYPE_CHECKING:  # hidden from type checkers, for whom every misspelt name would be found here

    def __getattr__(name):
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{home}"), name)
