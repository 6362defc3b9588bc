"""Dict keys and set members: only what Python itself hashes, so that loading them runs nothing of the user's."""

from __future__ import annotations

from collections.abc import Container, Iterable
from enum import Enum
from typing import Any

from cascade.adapters.codec.classes import DataclassShape, Shapes, UnsupportedError, hash_is_pythons_own
from cascade.adapters.codec.leaves import LEAVES, PLAIN
from cascade.adapters.codec.program import DEEPEST_KEY


def check_hashed(values: Iterable[object], shapes: Shapes, registered: Container[type]) -> None:
    """Check that hashing these values runs no code of a class that is not registered.

    Raises:
        UnsupportedError: If it does, or if one is nested too deeply to be hashed safely.
    """
    level = list(values)
    for _ in range(DEEPEST_KEY):
        below: list[object] = []
        for value in level:
            kind = type(value)
            if kind not in PLAIN and kind not in LEAVES and kind not in registered:
                below.extend(_hashed_with(value, kind, shapes))
        if not below:
            return
        level = list({id(value): value for value in below}.values())
    raise UnsupportedError(f"use a dict key or set member of less than {DEEPEST_KEY} levels")


def _hashed_with(value: Any, kind: type, shapes: Shapes) -> Iterable[object]:
    """Return the parts that are hashed with a value."""
    if kind is tuple or kind is frozenset:
        return tuple(value)
    if not hash_is_pythons_own(kind):
        raise UnsupportedError(
            "as a dict key or set member it would run its own __hash__ or __eq__ when it is loaded: "
            "use plain data there, or register the type with DataType",
            kind,
        )
    if issubclass(kind, Enum):
        return ()
    if issubclass(kind, tuple):
        return tuple(tuple.__iter__(value))
    shape = shapes.of(kind)[2]
    return shape.read(value).values() if isinstance(shape, DataclassShape) else ()
