"""The open resources of a worker process: each is opened at its first use, and all are released when it ends."""

from __future__ import annotations

import asyncio
import atexit
import threading
from collections.abc import Awaitable, Coroutine
from contextvars import copy_context
from typing import Any, NamedTuple

from cascade.adapters.travelling.providers import Generator, log_release, open_provider, release_provider
from cascade.adapters.travelling.resource_loop import ResourceLoop
from cascade.adapters.travelling.worker_resources import WorkerResource
from cascade.spec.resource import Resource

RELEASE_SECONDS = 60.0
"""What the release of all resources of a worker may take, before it is killed."""


class _Opened(NamedTuple):
    resource: Resource
    generator: Generator
    value: object


class OpenResources:
    """The open resources of one process, by their keys. Used by all threads that make calls in it."""

    def __init__(self) -> None:
        self._opened: dict[str, _Opened] = {}
        self._lock = threading.RLock()  # a provider may make a call that takes another one
        self._loop: ResourceLoop | None = None

    @property
    def is_in_use(self) -> bool:
        """Whether a resource is open."""
        return bool(self._opened)

    def value_of(self, wanted: WorkerResource) -> object:
        """Return the value of a resource, which is opened if this process has not done so yet.

        Raises:
            ResourceYieldError: If its provider yields nothing.
            BaseException: Whatever its provider raises. The next call that takes it tries again.
        """
        known = self._opened.get(wanted.key)
        if known is None:
            with self._lock:
                known = self._opened.get(wanted.key)
                if known is None:
                    known = self._open(wanted)
        return known.value

    def _open(self, wanted: WorkerResource) -> _Opened:
        needed = {parameter: self.value_of(each) for parameter, each in wanted.needs.items()}
        work = open_provider(wanted.resource, {**wanted.inputs, **needed})
        # What a provider sets in its context is no affair of the call that happens to be the first one.
        made: tuple[Generator, object] = copy_context().run(self._done, wanted.resource, work)
        if not self._opened:
            atexit.register(self.close)  # for processes that end without a word to us
        opened = self._opened[wanted.key] = _Opened(wanted.resource, *made)
        return opened

    def awaited(self, value: Awaitable[Any]) -> Any:
        """Wait for what a call returned, where asynchronous resources live if there are any."""
        if self._loop is None:
            return asyncio.run(_wait_for(value))
        return self._loop.done(_wait_for(value))

    def close(self) -> None:
        """Release all, the last one first. What a release raises is logged, and does not stop the others."""
        atexit.unregister(self.close)
        with self._lock:
            while self._opened:
                _, (resource, generator, _) = self._opened.popitem()
                error = self._done(resource, release_provider(resource, generator))
                if error is not None:
                    log_release(resource, error)
                del error  # its traceback may lead here: they would be a cycle
            if self._loop is not None:
                self._loop.close()
                self._loop = None

    def _done(self, resource: Resource, work: Coroutine[Any, Any, Any]) -> Any:
        """Bring work on a provider to its end: a plain one never waits, and others live in the loop of them all."""
        if resource.is_async:
            if self._loop is None:
                self._loop = ResourceLoop()
            return self._loop.done(work)
        try:
            work.send(None)
        except StopIteration as end:
            return end.value
        raise AssertionError("a plain provider does not wait")


OPEN_HERE = OpenResources()
"""The open resources of this process, if it is a worker."""


async def _wait_for(value: Awaitable[Any]) -> Any:
    return await value
