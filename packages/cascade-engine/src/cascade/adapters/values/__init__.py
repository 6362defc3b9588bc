"""Value stores: where large values lie beside a store, as files that are named by the digest of what they hold."""

from cascade.adapters.values.pointer import LARGE, Pointer
from cascade.adapters.values.value_files import FileValueStore
from cascade.adapters.values.value_store import ValueStore, value_store_from_url

__all__ = ["LARGE", "FileValueStore", "Pointer", "ValueStore", "value_store_from_url"]
