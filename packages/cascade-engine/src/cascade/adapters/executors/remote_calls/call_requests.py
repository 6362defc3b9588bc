"""Requests: calls of one task as they are sent to a worker of a cluster, and the plain data that they consist of."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
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
    """Calls of one task, to be made one after the other.

    `facts` and `arguments` have an entry for each call: the fields of its `CallFacts`, and its arguments as bytes.
    After `seconds` a worker begins no other call of them. A value with more than `staying_size` bytes stays on the
    worker; with `None` all come home, with `ALL_STAY` none does. `luggage` is that of all the calls.
    """

    code: TaskCode
    facts: Sequence[tuple[Any, ...]]
    arguments: Sequence[bytes]
    seconds: float
    staying_size: int | None = None
    luggage: Luggage | None = None

    def as_bytes(self) -> bytes:
        """Return the request as bytes: plain data, with the user's objects in it as bytes by themselves."""
        return pickle.dumps((tuple(self.code), *self[1:]), pickle.HIGHEST_PROTOCOL)


def request_from(payload: bytes) -> CallRequest:
    """Return what `CallRequest.as_bytes` was made of."""
    code, *rest = pickle.loads(payload)
    return CallRequest(TaskCode(*code), *rest)


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
