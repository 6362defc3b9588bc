"""Names for values of which a type checker can know nothing. Each says why."""

from __future__ import annotations

from typing import Any, TypeAlias

Decoded: TypeAlias = Any
"""Plain data, as msgpack gives it back: what is stored may have been changed, so no type is promised.

Who unpacks it checks it, or lets Python raise a `TypeError`, `ValueError` or `LookupError`: the reader turns these into
a `DamagedDataError`.
"""

Foreign: TypeAlias = Any
"""A value, class or module of a library that is not imported here, such as NumPy, or of the user's own code."""
