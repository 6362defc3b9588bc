"""The connection to Ray, of which a process has one.

A Ray that the program itself has initialised is used, and left as it is. One that is initialised here is shut down when
nobody needs it any more.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, NamedTuple

import ray

from cascade.spec.errors import SpecError

_OWN = "local"
"""Ray's word for a Ray of this process. Without it Ray looks for one that runs on this machine, and waits long for one
that has crashed."""


class Target(NamedTuple):
    """What an executor connects to: an address, or `None` for the one in `RAY_ADDRESS` or a Ray of its own.

    `runtime_env` says what the workers need, in Ray's words.
    """

    address: str | None
    runtime_env: Mapping[str, Any] | None

    def __str__(self) -> str:
        return self.address or "a Ray of this process"

    def connect(self) -> None:
        """Initialise Ray. Say nothing, and leave logging and signal handlers as they are."""
        options: dict[str, Any] = {"configure_logging": False}
        if self.runtime_env is not None:
            options["runtime_env"] = dict(self.runtime_env)
        address = self.address or os.environ.get("RAY_ADDRESS") or _OWN
        if address == _OWN:
            options["include_dashboard"] = False
        with _quiet():
            ray.init(address, **options)


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Keeper:
    """Has one thread initialise Ray, stay, and shut it down.

    Linux ends the processes that Ray starts as soon as the thread ends that has started them. It is a daemon thread: so
    it is still there when Ray's own exit handler runs in a program that has not closed its executor.
    """

    def __init__(self, target: Target, before: Future[None] | None) -> None:
        self.target = target
        self.users = 0
        self.opened: Future[None] = Future()
        self.closed: Future[None] = Future()
        self._before = before
        self._leave = threading.Event()
        threading.Thread(target=self._run, name="cascade-ray", daemon=True).start()

    def leave(self) -> None:
        self._leave.set()

    def _run(self) -> None:
        try:
            if self._before is not None:
                self._before.result()
            self.target.connect()
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            self.opened.set_exception(error)
        else:
            self.opened.set_result(None)
            self._leave.wait()
            with _quiet():
                ray.shutdown()
        finally:
            self.closed.set_result(None)


class _Connections:
    """The Ray of this process, by those who use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keeper: _Keeper | None = None
        self._closed: Future[None] | None = None

    def join(self, target: Target) -> _Keeper | None:
        """Return the keeper of Ray, with one more user; `None` if Ray is the program's own.

        Raises:
            SpecError: If this process is connected to another one.
        """
        with self._lock:
            if self._keeper is None:
                if (self._closed is None or self._closed.done()) and ray.is_initialized():
                    return None
                self._keeper = _Keeper(target, self._closed)
                self._closed = self._keeper.closed
            elif self._keeper.target != target:
                raise SpecError(
                    f"this process is connected to {self._keeper.target}, and can't be to {target} meanwhile",
                    "close the other executor first: Ray has one connection in a process",
                )
            self._keeper.users += 1
            return self._keeper

    def leave(self, keeper: _Keeper) -> bool:
        """Note that a user has gone; return whether it was the last one, so that Ray is shut down."""
        with self._lock:
            keeper.users -= 1
            if keeper.users:
                return False
            if self._keeper is keeper:
                self._keeper = None
        keeper.leave()
        return True


_connections = _Connections()


class RayConnection:
    """The part of one executor in the connection of this process."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._is_joined = False
        self._keeper: _Keeper | None = None

    def opened(self) -> Future[None] | None:
        """Return what is done as soon as Ray can be used, `None` if that is so already.

        Raises:
            SpecError: If this process is connected to another one.
        """
        with self._lock:
            if not self._is_joined:
                self._keeper = _connections.join(self._target)
                self._is_joined = True
            if self._keeper is None:
                return None
            return self._keeper.opened

    def __str__(self) -> str:
        return str(self._target)

    def forget(self, opened: Future[None]) -> None:
        """Let go of Ray, whose opening has failed, unless it is being opened again."""
        with self._lock:
            is_open_again = self._keeper is None or self._keeper.opened is not opened
        if not is_open_again:
            self.close()

    def close(self) -> Future[None] | None:
        """Let go of Ray; return what is done as soon as it has ended, `None` if others go on with it."""
        with self._lock:
            keeper, self._keeper, self._is_joined = self._keeper, None, False
        if keeper is None or not _connections.leave(keeper):
            return None
        return keeper.closed
