"""Kept inputs: what another process needs to begin a recorded run where this one did, as bytes.

These are the reference of the workflow function and the values of its parameters. Of secrets there are the names alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from cascade.adapters.codec.envelope import seal, unseal
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.spec.durable import NO_TAKES, Takes
from cascade.spec.errors import CodecError, KeptInputError
from cascade.spec.late_dataclasses import dataclass

_VERSION = 1
_ALL = NodeDigest(FrameDigest(-1, b"", b""), b"inputs")
"""The key of what a run keeps of its inputs."""


@dataclass(frozen=True, slots=True)
class KeptInputs:
    """What a run keeps of its inputs.

    `module` and `qualname` say where its workflow function is. `params` are the values of its parameters by name,
    `secrets` the names of the secrets that it was given. `takes` says how often it was taken over since then.
    """

    module: str
    qualname: str
    params: Mapping[str, object]
    secrets: tuple[str, ...] = ()
    takes: Takes = NO_TAKES


class InputNames(NamedTuple):
    """The names of the parameters that a run keeps, and of the secrets that it was given, which it does not keep."""

    params: tuple[str, ...]
    secrets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Stored:
    """Kept inputs as they are stored: each value in bytes of the run's codec."""

    module: str
    qualname: str
    params: dict[str, bytes]
    secrets: tuple[str, ...]
    takes: int = 0
    mark: bytes = b""


def encode_inputs(kept: KeptInputs, codec: FactCodec) -> bytes:
    """Return inputs as bytes.

    Raises:
        KeptInputError: If the codec refuses a value; it names the parameter.
    """
    params: dict[str, bytes] = {}
    for name, value in kept.params.items():
        try:
            params[name] = codec.codec.encode(value, key=codec.bound(_of_param(name), None))
        except CodecError as problem:
            raise KeptInputError(f"the value of parameter '{name}'", str(problem)) from problem
    stored = _Stored(kept.module, kept.qualname, params, kept.secrets, *kept.takes)
    return seal(_VERSION, msgspec.msgpack.encode(stored), codec.bound(_ALL, None))


def decode_inputs(data: bytes, codec: FactCodec, store: str, run_id: str) -> KeptInputs:
    """Return the inputs of these bytes.

    Raises:
        RunDamagedError: If they are damaged, or belong to another run.
        CascadeError: If a value can't be read here: it names the module to import first.
    """
    with checking(store, run_id):
        stored = _stored(data, codec)
        params = {
            name: codec.codec.decode(value, key=codec.bound(_of_param(name), None))
            for name, value in stored.params.items()
        }
    takes = Takes(stored.takes, stored.mark)
    return KeptInputs(stored.module, stored.qualname, params, stored.secrets, takes)


def input_names(data: bytes, codec: FactCodec, store: str, run_id: str) -> InputNames:
    """Return the names in what `encode_inputs` has made; no value is decoded.

    Raises:
        RunDamagedError: If it is damaged, or belongs to another run.
    """
    with checking(store, run_id):
        stored = _stored(data, codec)
    return InputNames(tuple(stored.params), stored.secrets)


def _stored(data: bytes, codec: FactCodec) -> _Stored:
    return msgspec.msgpack.decode(unseal(_VERSION, data, codec.bound(_ALL, None)), type=_Stored)


def _of_param(name: str) -> NodeDigest:
    return NodeDigest(FrameDigest(-1, b"", b""), b"input " + name.encode("utf-8", "surrogatepass"))
