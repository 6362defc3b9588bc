"""Registered types: how a user's type becomes data that the codec knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cascade.adapters.codec.untyped import Decoded, Foreign


@dataclass(frozen=True, slots=True)
class DataType:
    """How a `DataCodec` stores values of exactly this type.

    `name` stands for the type in stored data and must stay; `encode` gives data that the codec knows, `decode` makes a
    value of it. These two functions are the only ones of the user's that a codec runs.
    """

    type: type
    name: str
    encode: Callable[[Foreign], object]
    decode: Callable[[Decoded], object]
