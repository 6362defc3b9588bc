"""Kept inputs: what another process needs to begin a recorded run where this one did, as bytes.

These are the reference of the workflow function and the values of its parameters. Of secrets there are the names alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import msgspec

from cascade.adapters.codec.envelope import seal, unseal
from cascade.adapters.state.damage import checking
from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.recorded.fact_codec import FactCodec
from cascade.adapters.state.recorded.pointed_names import OF_INPUTS
from cascade.adapters.values.kept_values import KeptValues
from cascade.adapters.values.value_pointer import ValuePointer, get_value, is_value_pointer
from cascade.spec.durable import NO_TAKES, Takes
from cascade.spec.errors import CodecError, KeptInputError, RunValuesError
from cascade.spec.late_dataclasses import dataclass

_VERSION = 1


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
            params[name] = codec.codec.encode(value, key=_key_of(name, codec))
        except CodecError as problem:
            raise KeptInputError(f"the value of parameter '{name}'", str(problem)) from problem
    stored = _Stored(kept.module, kept.qualname, params, kept.secrets, *kept.takes)
    return seal(_VERSION, msgspec.msgpack.encode(stored), codec.bound(OF_INPUTS, None))


def decode_inputs(
    data: bytes, codec: FactCodec, store: str, run_id: str, values: KeptValues | None = None
) -> KeptInputs:
    """Return the inputs of these bytes; large parameters are read from the value store of the run.

    Raises:
        RunValuesError: If some are there, and none is given.
        StoreError: If they can't be read.
        RunDamagedError: If they are damaged, or belong to another run.
        CascadeError: If a value can't be read here: it names the module to import first.
    """
    with checking(store, run_id):
        stored = _stored(data, codec)
        params: dict[str, object] = {}
        for name, value in stored.params.items():
            key = _key_of(name, codec)
            if is_value_pointer(value):
                if values is None:
                    raise RunValuesError(run_id)
                value = get_value(values.store, ValuePointer.read(value, key))
            params[name] = codec.codec.decode(value, key=key)
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
    return msgspec.msgpack.decode(unseal(_VERSION, data, codec.bound(OF_INPUTS, None)), type=_Stored)


def large_params(data: bytes, codec: FactCodec, is_large: Callable[[bytes], bool]) -> dict[str, bytes]:
    """Return the values of large parameters in what `encode_inputs` has made, by name, as bytes of the codec."""
    return {name: value for name, value in _stored(data, codec).params.items() if is_large(value)}


def with_pointers(data: bytes, codec: FactCodec, pointers: Mapping[str, ValuePointer]) -> bytes:
    """Return what `encode_inputs` has made with pointers in the places of parameters, which are in a value store."""
    stored = _stored(data, codec)
    sealed = {name: pointer.sealed(_key_of(name, codec)) for name, pointer in pointers.items()}
    stored = replace(stored, params={**stored.params, **sealed})
    return seal(_VERSION, msgspec.msgpack.encode(stored), codec.bound(OF_INPUTS, None))


def input_pointers(data: bytes, codec: FactCodec) -> list[ValuePointer]:
    """Return the pointers to parameters that are in a value store.

    Raises:
        DamagedDataError: If they are damaged.
    """
    params = _stored(data, codec).params.items() if data else ()
    return [
        ValuePointer.read(value, _key_of(name, codec)) for name, value in params if is_value_pointer(value)
    ]


def _key_of(name: str, codec: FactCodec) -> bytes:
    return codec.bound(_of_param(name), None)


def _of_param(name: str) -> NodeDigest:
    return NodeDigest(FrameDigest(-1, b"", b""), b"input " + name.encode("utf-8", "surrogatepass"))
