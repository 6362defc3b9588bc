"""Requests: calls as they are sent to a worker of a cluster, and the plain data that they consist of."""

from __future__ import annotations

import functools
import hashlib
import pickle
from collections.abc import Sequence
from importlib import metadata
from typing import Any, NamedTuple

from cascade.adapters.call_facts import CallFacts
from cascade.adapters.executors.remote_calls.cloud_pickling import encode
from cascade.adapters.travelling.luggage import Luggage
from cascade.spec.task import AnyTask

ALL_STAY = -1
"""The size from which values stay if all are to."""


class TaskCode(NamedTuple):
    """A task as bytes. `digest` names them: a worker unpickles what it knows already only once."""

    name: str
    digest: bytes
    body: bytes


class CallRequest(NamedTuple):
    """Calls to be made one after the other: of one task, or a chain.

    `codes` are the tasks, and `facts` and `arguments` have an entry for each call: the fields of its `CallFacts`, and
    its arguments as bytes. After `seconds` a worker begins no other call of them. A value with more than `staying_size`
    bytes stays on the worker; with `None` all come home, with `ALL_STAY` none does. `luggage` is that of all the calls.
    A request for a chain has a `Chain`.
    """

    codes: Sequence[TaskCode]
    facts: Sequence[tuple[Any, ...]]
    arguments: Sequence[bytes]
    seconds: float
    staying_size: int | None = None
    luggage: Luggage | None = None
    chain: Chain | None = None

    def code_at(self, position: int) -> TaskCode:
        """Return the code of a call."""
        return self.codes[0 if self.chain is None else self.chain.tasks[position]]

    def only(self, position: int, earlier: Sequence[bytes]) -> CallRequest:
        """Return a request for one of the calls alone, whose value stays in any case.

        `earlier` are the results of those before it, if it is one of a chain.
        """
        facts, arguments = [self.facts[position]], [self.arguments[position]]
        chain = None if self.chain is None else Chain([self.chain.tasks[position]], earlier)
        return self._replace(facts=facts, arguments=arguments, staying_size=ALL_STAY, chain=chain)

    def as_bytes(self) -> bytes:
        """Return the request as bytes: plain data, with the user's objects in it as bytes by themselves."""
        plain = (own_version(), [tuple(each) for each in self.codes], *self[1:])
        return pickle.dumps(plain, pickle.HIGHEST_PROTOCOL)


class Chain(NamedTuple):
    """What makes calls a chain: each may take the results of those before it, and is made if these have been values.

    `tasks` tells for each call which of the codes is its task. `earlier` are results of calls that were made before, as
    bytes.
    """

    tasks: Sequence[int]
    earlier: Sequence[bytes] = ()


@functools.cache
def own_version() -> str:
    """Return the version of Cascade in this process: a worker with another one may understand something else."""
    return metadata.version("cascade-engine")


def request_from(payload: bytes) -> CallRequest:
    """Return what `CallRequest.as_bytes` was made of.

    Raises:
        ImportError: If that was another version of Cascade.
    """
    version, codes, *rest = pickle.loads(payload)
    if version != own_version():
        raise ImportError(
            f"this worker has cascade-engine {own_version()}, and the run has {version}; install the same version"
        )
    return CallRequest([TaskCode(*each) for each in codes], *rest)


class TaskCodes:
    """The code of the tasks that one executor sends. It is encoded once in each run.

    So a cell of a notebook that changes what a task reads is seen by the next run, and ten thousand calls do not encode
    the same code again and again.
    """

    def __init__(self) -> None:
        self._codes: dict[tuple[int, str], TaskCode] = {}

    def code_of(self, task: AnyTask, facts: CallFacts | tuple[Any, ...]) -> TaskCode:
        """Return the code of a task for a call with these facts.

        Raises:
            BaseException: Whatever the objects raise that the code holds, among it that they can't be pickled.
        """
        key = (task.serial, facts[0])
        code = self._codes.get(key)
        if code is None:
            body = encode(task)
            code = TaskCode(task.name, hashlib.blake2b(body, digest_size=16).digest(), body)
            while len(self._codes) >= _CODES_KEPT:
                del self._codes[next(iter(self._codes))]
            self._codes[key] = code
        return code


_CODES_KEPT = 256
"""How many tasks of how many runs an executor keeps the code of."""
