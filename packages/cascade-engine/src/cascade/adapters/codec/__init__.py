"""Codecs: values as bytes in a store, and back. `DataCodec` is data only; `PickleCodec` is opt-in and signed."""

from cascade.adapters.codec.codec_words import codec_from_word
from cascade.adapters.codec.data_codec import DataCodec
from cascade.adapters.codec.data_type import DataType
from cascade.adapters.codec.pickle_codec import PickleCodec

__all__ = ["DataCodec", "DataType", "PickleCodec", "codec_from_word"]
