"""Codecs: values as bytes in a store, and back. `DataCodec` is data only; `PickleCodec` is opt-in and signed."""

from cascade.adapters.codec.data import DataCodec
from cascade.adapters.codec.registered import DataType
from cascade.adapters.codec.signed import PickleCodec
from cascade.adapters.codec.words import codec_from_word

__all__ = ["DataCodec", "DataType", "PickleCodec", "codec_from_word"]
