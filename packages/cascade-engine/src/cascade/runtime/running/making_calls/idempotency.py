"""Idempotency keys: the text that a call hands to a service which does a thing once per key.

Loaded when a task first asks for its key: it brings hashing and encoding.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any

from cascade.runtime.exceptions import IdempotencyKeyError
from cascade.runtime.frames.frame import Job
from cascade.spec.cache_keys import bound_arguments
from cascade.spec.common import SecretValue
from cascade.spec.encoding.canonical import digest
from cascade.spec.errors import UncacheableError
from cascade.spec.resource import Inject

_SIZE = 16
"""Bytes of a key, which is twice as many characters."""

_SECRET: dict[type, Callable[[Any], bytes]] = {SecretValue: lambda _: b""}
"""A secret counts as being there: its value would be found by trying, from a key that is handed to others."""


def idempotency_key(job: Job, run: str) -> str:
    """Return 32 characters that name this call of a run with these arguments.

    The key is the same when the run goes on. `run` tells the run from all others and holds its random salt. Resources
    and the key itself are no arguments here, and the values of secrets do not count.

    Raises:
        IdempotencyKeyError: If an argument has no canonical form; it names the argument.
    """
    hashed = blake2b(f"{run}/{job.key}".encode("utf-8", "surrogatepass"), digest_size=_SIZE)
    arguments = bound_arguments(job.task, *job.arguments(None))
    for name in sorted(arguments):
        if isinstance(arguments[name], Inject):
            continue
        try:
            own = digest(arguments[name], also=_SECRET)
        except UncacheableError as problem:
            raise IdempotencyKeyError(job.name, name, problem.kind) from problem
        hashed.update(digest(name) + own)
    return hashed.hexdigest()
