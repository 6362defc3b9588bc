"""What the types of pandas have in common: the contents of columns and indexes, time zones, units of time.

Pandas and NumPy are taken from the modules that are loaded: a value of pandas shows that they are.
"""

from __future__ import annotations

import sys

from cascade.adapters.codec.untyped import Foreign
from cascade.spec.errors import StoredReferenceError

UNITS = frozenset({"s", "ms", "us", "ns"})
"""The units that pandas counts time in."""


def pandas() -> Foreign:
    """Return the module pandas."""
    return sys.modules["pandas"]


def numpy() -> Foreign:
    """Return the module NumPy."""
    return sys.modules["numpy"]


def check(holds: object) -> None:
    """Raise a `ValueError`, which makes the stored data count as damaged, unless `holds` is true."""
    if not holds:
        raise ValueError("its parts do not fit together")


def content_of(values: Foreign) -> Foreign:
    """Return the values of a column or an index: an array of NumPy if there is one, else one of pandas."""
    return (
        values.to_numpy()
        if isinstance(values.dtype, numpy().dtype) and values.dtype.kind not in "mM"
        else values.array
    )


def is_content(values: object) -> bool:
    """Tell whether `values` may have come from `content_of`."""
    return isinstance(values, (numpy().ndarray, pandas().api.extensions.ExtensionArray))


def are_counts(numbers: Foreign) -> bool:
    """Tell whether something is a column of whole numbers, as times are stored."""
    return type(numbers) is numpy().ndarray and numbers.dtype == "int64" and numbers.ndim == 1


def index_of(name: object, content: Foreign) -> Foreign:
    """Return an index with this content."""
    check(is_content(content))
    return pandas().Index(content, dtype=content.dtype, name=name, copy=False)


def pack_zone(zone: Foreign) -> str | None:
    """Return the name of a zone of pytz, which Python's own codecs know nothing of."""
    return str(zone.zone) if type(zone).__module__.partition(".")[0] == "pytz" and zone.zone else None


def part_of_zone(zone: Foreign) -> object:
    """Return the zone itself if the codec can store it; `None` if `pack_zone` has its name."""
    return None if pack_zone(zone) is not None else zone


def unpack_zone(name: str | None, part: Foreign) -> Foreign:
    """Return the zone that `pack_zone` and `part_of_zone` describe.

    Raises:
        StoredReferenceError: If it is one of pytz, and pytz is not imported.
    """
    if name is None:
        return part
    if "pytz" not in sys.modules:
        raise StoredReferenceError("a time zone of pytz", "pytz is not imported", "import pytz first")
    return sys.modules["pytz"].timezone(name)
