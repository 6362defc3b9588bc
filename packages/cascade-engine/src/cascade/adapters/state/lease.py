"""Leases on one host: a lock of the operating system, which ends with the process that holds it, however it ends."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path
from weakref import WeakSet

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


_TRIES = 5
_PAUSE = 0.01
"""Seconds between two tries: somebody who looks holds a lease for some microseconds, who drives a run for longer."""


def this_process() -> str:
    """Return what this process is called where others are told who drives a run."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class FileLease:
    """A lock on a file, which is there for as long as the lease is held and says who holds it.

    Two leases of one process exclude each other as those of two processes do. They are that process's own: a child,
    spawned or forked off, holds none of them, and so outlives it without keeping others out.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._descriptor: int | None = None
        self.was_left = False  # by an earlier holder, who ended without letting go of it
        _leases.add(self)

    def take(self) -> str | None:
        """Take the lease; return `None`, or who holds it and does not let go within a moment."""
        for tried in range(_TRIES):
            if tried:
                time.sleep(_PAUSE)
            holder = self.try_take()
            if holder is None:
                break
        return holder

    def try_take(self) -> str | None:
        """Take the lease if it is free at this moment; return `None`, or who holds it."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor)
            except OSError:
                holder = _read(descriptor)
                os.close(descriptor)
                return holder
            if _is_same(descriptor, self._path):
                break
            os.close(descriptor)  # whoever held it has just let go of it, and the file with it
        self.was_left = os.fstat(descriptor).st_size > 0
        os.ftruncate(descriptor, 0)
        os.write(descriptor, this_process().encode())
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Let go of the lease, if it is held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # where an open file can't be removed it stays, and is locked anew
                if _is_same(descriptor, self._path):  # not that of somebody else, if this one was removed
                    self._path.unlink()
            os.close(descriptor)

    def leave(self) -> None:
        """Let go of the lease, if it is held, and leave its file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def is_held(self) -> bool:
        """Tell whether somebody holds the lease, without taking it for longer than the look."""
        return bool(self.holder())

    def holder(self) -> str:
        """Return who holds the lease, empty if nobody does; without taking it for longer than the look."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return ""
        try:
            _lock(descriptor)
        except OSError:
            return _read(descriptor)
        else:
            return ""
        finally:
            os.close(descriptor)


def _read(descriptor: int) -> str:
    """Return what the holder of a lock has written of itself; it may not have come to that yet."""
    return os.read(descriptor, 200).decode(errors="replace") or "another process"


_leases: WeakSet[FileLease] = WeakSet()


def _forget_all() -> None:
    for lease in list(_leases):
        lease.leave()


if hasattr(os, "register_at_fork"):
    # A forked child shares the open files of its parent, and with them the locks, for as long as it lives.
    os.register_at_fork(after_in_child=_forget_all)


def _is_same(descriptor: int, path: Path) -> bool:
    """Tell whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
