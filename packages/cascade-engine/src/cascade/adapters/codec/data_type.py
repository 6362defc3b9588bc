"""Registered types: how a type of the user's becomes data that the codec knows."""

from __future__ import annotations

from collections.abc import Callable

from cascade.adapters.codec.untyped import Decoded, Foreign
from cascade.spec.late_dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DataType:
    """How a `DataCodec` stores values of exactly this type.

    `name` stands for the type in stored data, so it must not change. `encode` returns data that the codec knows, and
    `decode` makes a value of that. The codec runs no other code of the user's.
    """

    type: type
    name: str
    encode: Callable[[Foreign], object]
    decode: Callable[[Decoded], object]
