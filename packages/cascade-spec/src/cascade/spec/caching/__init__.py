"""Cache policies: what the key of a call is, and how long its value holds."""

from cascade.spec.caching.by_inputs import ByInputs
from cascade.spec.caching.file_exists import FileExists

__all__ = ["ByInputs", "FileExists"]
