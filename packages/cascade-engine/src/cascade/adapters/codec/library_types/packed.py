"""Packed values: values of libraries as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from cascade.adapters.codec.untyped import Decoded, Foreign


class Packed(NamedTuple):
    """A value of a library, taken apart.

    `head` is plain data that says what the value is. `parts` are values that the codec writes in its own way. `places`
    has for each part how it is reached from the value, such as `.index`: an error names the part at fault by it.
    """

    head: object
    parts: Sequence[object]
    places: Sequence[str]


Packer: TypeAlias = Callable[[Foreign], Packed]
"""Takes a value apart.

Raises:
    UnsupportedError: If that would lose something.
"""

Unpacker: TypeAlias = Callable[[Decoded, list[Foreign]], object]
"""Makes a value from the head and the parts.

Raises:
    Exception: Whatever the library raises for parts that make no sense.
"""
