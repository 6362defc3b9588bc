"""Leases on one host: locks of the operating system, which end with their process, however it ends."""

from __future__ import annotations

import os
import socket
import sys
import time
from contextlib import suppress
from pathlib import Path

from cascade.adapters.forks import watch_forks

if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

    _lock_to_look = _lock  # this system's locks are not shared: who looks is told from a driver by time alone
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _lock_to_look(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


_TRIES = 5
"""How often a lease is tried for that seems to be held: another one who tries for it may let go of it again."""
_TRIES_WHILE_LOOKED_AT = 1_000
"""The same while only others who look hold it: each for microseconds, or longer where threads wait for their turn."""
_PAUSE = 0.01
"""Seconds between two tries."""


def this_process() -> str:
    """Return the name of this process in errors that say who drives a run."""
    return f"process {os.getpid()} on {socket.gethostname()}"


class FileLease:
    """A lock on a file. The file exists for as long as the lease is held, and has the name of its holder.

    Two leases of one process exclude each other, like those of two processes. A child process, spawned or forked, holds
    none of its parent's leases: it may live longer than the parent, and must not keep others out.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._descriptor: int | None = None
        self.was_left = False  # by an earlier holder, who ended without letting go of it
        watch_forks(self)

    def take(self) -> str | None:
        """Take the lease and return `None`; if another one holds it, and does not only look, return its name."""
        tries = looked_at = 1
        while (holder := self.try_take()) is not None:
            if not self.holder() and looked_at < _TRIES_WHILE_LOOKED_AT:
                looked_at += 1
            elif tries < _TRIES:
                tries += 1
            else:
                break
            time.sleep(_PAUSE)
        return holder

    def try_take(self) -> str | None:
        """Take the lease and return `None`, if it is free at this moment; if not, return the name of its holder."""
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor)
            except OSError:
                holder = _read(descriptor)
                os.close(descriptor)
                return holder
            if is_same(descriptor, self._path):
                break
            os.close(descriptor)  # whoever held it has just let go of it, and the file with it
        self.was_left = os.fstat(descriptor).st_size > 0
        os.ftruncate(descriptor, 0)
        os.write(descriptor, this_process().encode())
        self._descriptor = descriptor
        return None

    def release(self) -> None:
        """Release the lease, if it is held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            with suppress(OSError):  # where an open file can't be removed it stays, and is locked anew
                if is_same(descriptor, self._path):  # not that of somebody else, if this one was removed
                    self._path.unlink()
            os.close(descriptor)

    def leave(self) -> None:
        """Release the lease, if it is held, and leave its file."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def forget_parent(self) -> None:
        """Leave it to the parent of a forked child, which shares its open files, and with them the locks."""
        self.leave()

    def is_held(self) -> bool:
        """Tell whether somebody holds the lease."""
        return bool(self.holder())

    def holder(self) -> str:
        """Return the name of the holder, empty if there is none. Takes a reader's lock for microseconds."""
        try:
            descriptor = os.open(self._path, os.O_RDWR)
        except FileNotFoundError:
            return ""
        try:
            _lock_to_look(descriptor)
        except OSError:
            return _read(descriptor)
        else:
            return ""
        finally:
            os.close(descriptor)


def _read(descriptor: int) -> str:
    """Return the name that the holder of a lock has written; it may not have written it yet."""
    return os.read(descriptor, 200).decode(errors="replace") or "another process"


def is_same(descriptor: int, path: Path) -> bool:
    """Tell whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
