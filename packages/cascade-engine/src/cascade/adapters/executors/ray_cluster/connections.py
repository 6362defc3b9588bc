"""The connection to Ray, of which a process has one.

A Ray that the program itself has initialised is used, and left as it is. One that is initialised here is shut down when
nobody needs it any more, or when its processes have died.
"""

from __future__ import annotations

import atexit
import sys
import threading
from concurrent.futures import Future

import ray

from cascade.adapters.executors.ray_cluster.session import Session, Target, program_address
from cascade.adapters.forks import leave_alone, watch_forks
from cascade.spec.errors import SpecError


class _Connections:
    """The Ray of this process, by those who use it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._ended: Future[None] | None = None
        self._of_program: Session | None = None
        self.are_inherited = False
        watch_forks(self)

    def forget_parent(self) -> None:
        """Note in a forked child whether the parent was connected: Ray does not work across a fork, and hangs."""
        self._lock = threading.Lock()
        self.are_inherited = ray.is_initialized()
        if self.are_inherited:
            # What Ray does when a program ends, by itself or by an exception, would hang as well.
            atexit.unregister(ray.shutdown)
            if sys.excepthook.__module__.partition(".")[0] == "ray":
                sys.excepthook = sys.__excepthook__

    def join(self, target: Target) -> Session:
        """Return the session with Ray, with one more user if it is ours.

        Raises:
            SpecError: If this process is connected to another one, or was forked from one that is connected.
        """
        if self.are_inherited:
            raise SpecError(
                "this process was forked from one that is connected to Ray",
                "start it as a fresh one, or use Ray only after the fork: Ray does not work across it",
            )
        with self._lock:
            if self._session is not None and self._session.is_over:
                self._session.leave()
                self._session = None
            if self._session is None:
                if (self._ended is None or self._ended.done()) and program_address():
                    return self._program_session()
                self._session = Session(target, self._ended)
                self._ended = self._session.ended
            elif self._session.target != target:
                raise SpecError(
                    f"this process is connected to {self._session}, and can't be to {target} meanwhile",
                    "close the other executor first: Ray has one connection in a process",
                )
            self._session.users += 1
            return self._session

    def _program_session(self) -> Session:
        if self._of_program is not None and self._of_program.is_over:
            self._of_program.bury()
            self._of_program = None
        if self._of_program is None:
            self._of_program = Session(None)
        return self._of_program

    def leave(self, session: Session) -> bool:
        """Note that a user has gone; return whether it was the last one, so that Ray is shut down."""
        with self._lock:
            if session.target is None:
                return False
            session.users -= 1
            if session.users:
                return False
            if self._session is session:
                self._session = None
        session.leave()
        return True


_connections = _Connections()


class RayConnection:
    """The part of one executor in the connection of this process."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._session: Session | None = None
        watch_forks(self)

    def session(self) -> Session:
        """Return the session to use: another one if the one before has failed, or its Ray is gone.

        Raises:
            SpecError: If this process is connected to another Ray, or was forked from one that is connected.
        """
        with self._lock:
            if self._session is not None and self._session.is_over:
                _connections.leave(self._session)
                self._session = None
            if self._session is None:
                self._session = _connections.join(self._target)
            return self._session

    @property
    def is_free(self) -> bool:
        """Whether no session is in use."""
        return self._session is None

    def forget_parent(self) -> None:
        """Leave the session to the parent of a forked child."""
        self._lock = threading.Lock()
        leave_alone(self._session)
        self._session = None

    def set_free(self) -> Session | None:
        """Return the session that was in use, for `leave`: whoever uses Ray from now on joins anew."""
        with self._lock:
            session, self._session = self._session, None
        return session


async def leave(session: Session) -> None:
    """Let go of a session; wait until its Ray has ended, unless others go on with it."""
    if _connections.leave(session):
        await session.end()
