"""Which resources of workers are the same: by their code, the values of their inputs, and what they need.

Loaded for the first one that travels: it brings hashing and pickling.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from hashlib import blake2b
from types import CodeType

from cascade.adapters.travelling.travel_errors import ResourceInputError
from cascade.adapters.travelling.worker_resources import WorkerResource
from cascade.spec.calls.error_text import message_of
from cascade.spec.resource import Resource


def worker_resource(
    resource: Resource, needs: dict[str, WorkerResource], inputs: Mapping[str, object]
) -> WorkerResource:
    """Return what stands for a resource in a call.

    Raises:
        ResourceInputError: If the value of an input can't be encoded.
    """
    code = getattr(resource.func, "__code__", None)
    named = (resource.reference, resource.name, _text_of(code))
    hashed = blake2b(repr(named).encode("utf-8", "surrogatepass"), digest_size=16)
    for parameter, value in sorted(inputs.items()):
        try:
            encoded = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            raise ResourceInputError(
                resource.name, parameter, type(error).__qualname__, message_of(error)
            ) from error
        hashed.update(repr((parameter, len(encoded))).encode("utf-8", "surrogatepass") + encoded)
    for parameter, needed in sorted(needs.items()):
        hashed.update(repr((parameter, needed.key)).encode("utf-8", "surrogatepass"))
    return WorkerResource(resource, needs, dict(inputs), hashed.hexdigest())


def _text_of(code: object) -> object:
    """Return what tells the code of a function from what it was before: a notebook's cells are run again."""
    if not isinstance(code, CodeType):
        return None if code is None else repr(code)
    constants = [_text_of(each) if isinstance(each, CodeType) else repr(each) for each in code.co_consts]
    return code.co_code.hex(), code.co_names, constants
