"""Value stores: large values beside a store, as files whose names are the digests of their content."""

from cascade.adapters.values.pointer import LARGE, Pointer
from cascade.adapters.values.value_files import FileValueStore
from cascade.adapters.values.value_store import ValueStore, value_store_from_url

__all__ = ["LARGE", "FileValueStore", "Pointer", "ValueStore", "value_store_from_url"]
