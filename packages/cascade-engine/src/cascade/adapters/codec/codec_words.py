"""Codecs by word: `data`, `pickle`, `module:name`."""

from __future__ import annotations

import os
from importlib import import_module

from cascade.adapters.codec.data_codec import DataCodec
from cascade.adapters.codec.pickle_codec import SHORTEST_KEY, PickleCodec
from cascade.spec.calls.missing import MISSING
from cascade.spec.errors import SpecError
from cascade.spec.protocols import Codec
from cascade.spec.source.references import find_loaded

CODEC_FORMS = "'data', 'pickle' or 'module:name'"
PICKLE_KEY = "CASCADE_PICKLE_KEY"
"""The environment variable that holds the key of the codec `pickle`."""


def codec_from_word(word: str) -> Codec:
    """Return the codec that a word names.

    `data` is a `DataCodec`. `pickle` is a `PickleCodec` with the key in the environment variable `CASCADE_PICKLE_KEY`.
    `module:name` is an object in a module, which is imported.

    Raises:
        SpecError: If it names none, or the key is missing or too short.
    """
    module, colon, name = word.partition(":")
    if word == "data":
        return DataCodec()
    if word == "pickle":
        return PickleCodec(key=_key())
    if colon and _is_name(module) and _is_name(name):
        return _named(word, module, name)
    raise SpecError(f"codec={word!r} is no known codec", f"write {CODEC_FORMS}, or give one")


def _key() -> bytes:
    key = os.environ.get(PICKLE_KEY, "").encode("utf-8", "surrogateescape")
    if len(key) < SHORTEST_KEY:
        raise SpecError(
            f"codec='pickle' needs a key of {SHORTEST_KEY} characters or more",
            f"set the environment variable {PICKLE_KEY} to a random text, and keep it secret",
        )
    return key


def _is_name(text: str) -> bool:
    return all(part.isidentifier() for part in text.split("."))


def _named(word: str, module: str, name: str) -> Codec:
    try:
        import_module(module)
    except ModuleNotFoundError as error:
        # What the module itself fails to import is its own fault.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise SpecError(f"codec={word!r}: there is no module {module!r}", f"write {CODEC_FORMS}") from None
    found = find_loaded(module, name)
    if found is MISSING:
        raise SpecError(f"codec={word!r}: the module has no {name!r}", "give the name of a codec in it")
    if isinstance(found, type) or not (hasattr(found, "encode") and hasattr(found, "decode")):
        raise SpecError(
            f"codec={word!r} is no codec", "give the name of an object with `encode` and `decode`"
        )
    codec: Codec = found
    return codec
