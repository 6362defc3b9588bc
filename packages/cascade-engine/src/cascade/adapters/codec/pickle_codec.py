"""Pickle, signed: for values that `DataCodec` does not know. It has to be asked for."""

from __future__ import annotations

import copyreg
import hmac
import io
import pickle
from collections import ChainMap
from collections.abc import Callable, Iterator
from typing import NoReturn

from cascade.adapters.codec.unsupported import SECRET
from cascade.adapters.codec.untyped import Foreign
from cascade.spec.common import SecretValue
from cascade.spec.errors import CodecError, DamagedDataError, DataVersionError, SpecError
from cascade.spec.source.references import name_of

VERSION = 1
_SIZE = 32
_START = 1 + _SIZE
SHORTEST_KEY = 16
_DEEPEST = 100
"""Levels down to which the part at fault is looked for."""


class PickleCodec:
    """Stores whatever pickle can, signed with HMAC-SHA256. It loads nothing whose signature does not fit.

    The signature covers the version of the format, the store key and the payload. Loading runs whatever the pickle
    says. So whoever has the `key` can run code here: keep it like a password, and out of the store.

    Raises:
        SpecError: If the key is no bytes, or shorter than 16.
    """

    def __init__(self, *, key: bytes) -> None:
        if not isinstance(key, bytes) or len(key) < SHORTEST_KEY:
            raise SpecError(
                f"PickleCodec with a key that is not {SHORTEST_KEY} bytes or more",
                "give random bytes, such as those of secrets.token_bytes(32), and keep them secret",
            )
        self._key = key

    def __repr__(self) -> str:
        return "PickleCodec(key=***)"

    def encode(self, value: object, *, key: bytes) -> bytes:
        """Return the signed pickle of `value` under `key`.

        Raises:
            CodecError: If pickle can't take it, or there is a secret in it.
        """
        written = io.BytesIO()
        pickler = pickle.Pickler(written, protocol=5)
        pickler.dispatch_table = _REDUCERS
        try:
            pickler.dump(value)
        except CodecError:
            raise
        except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as problem:
            culprit, path = _culprit(value)
            raise CodecError(name_of(type(culprit)), path, f"pickle can't take it: {problem}") from problem
        payload = written.getvalue()
        mark = bytes((VERSION,))
        return mark + self._signature(mark, payload, key) + payload

    def decode(self, data: bytes, *, key: bytes) -> object:
        """Return the value, once the signature has been checked.

        Raises:
            DamagedDataError: If the bytes were not signed with this codec's key under this store key.
            DataVersionError: If a later release wrote them.
        """
        view = memoryview(data)
        mark, signature, payload = view[:1], view[1:_START], view[_START:]
        if len(data) < _START or not hmac.compare_digest(self._signature(mark, payload, key), signature):
            raise DamagedDataError("it is not signed with this codec's key for this place")
        if data[0] > VERSION:
            raise DataVersionError(data[0], VERSION)
        return pickle.loads(payload)

    def _signature(self, mark: bytes | memoryview, payload: bytes | memoryview, key: bytes) -> bytes:
        signed = hmac.new(self._key, b"cascade pickle", "sha256")
        for part in (mark, len(key).to_bytes(8, "big"), key, payload):
            signed.update(part)
        return signed.digest()


def _culprit(value: object) -> tuple[object, str]:
    """Return the deepest part of a value that pickle refuses by itself, and how it is reached."""
    path = "value"
    for _ in range(_DEEPEST):
        refused = next((each for each in _parts(value) if not _is_taken(each[1])), None)
        if refused is None:
            break
        template, value = refused
        path = template.replace("{}", path)
    return value, path


def _parts(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for number, (key, part) in enumerate(value.items()):
            yield f"list({{}})[{number}]", key
            yield f"{{}}[{key!r}]" if type(key) in (str, int) else f"{{}}[entry {number}]", part
    elif isinstance(value, set | frozenset):
        yield from ((f"list({{}})[{number}]", part) for number, part in enumerate(value))
    elif isinstance(value, list | tuple):
        yield from ((f"{{}}[{number}]", part) for number, part in enumerate(value))
    else:
        yield from ((f"{{}}.{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _is_taken(part: object) -> bool:
    try:
        pickle.dumps(part, protocol=5)
    except Exception:  # noqa: BLE001 - whatever pickle or a value's own code raises, it is not taken
        return False
    return True


def _refuse_secret(secret: SecretValue[object]) -> NoReturn:
    raise CodecError(name_of(type(secret)), "something in the value", SECRET)


_REDUCERS: ChainMap[type, Callable[[Foreign], Foreign]] = ChainMap(
    {SecretValue: _refuse_secret}, copyreg.dispatch_table
)
