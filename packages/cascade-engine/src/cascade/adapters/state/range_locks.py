"""Range locks: the locks of all runs of one store in one file, of which each run has a range of bytes.

So a process has one open file for a store, however many runs it drives. The locks are those of open files, which
nobody loses by closing another one: `F_OFD_SETLK` of Linux. The ranges lie far behind the end of the file. It has
nothing but the names of the processes that hold some.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import time
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple, Protocol

from cascade.adapters.forks import in_each_child
from cascade.adapters.state.lease import FileLease, is_same, this_process


class RunLease(Protocol):
    """The lease of a run on one host."""

    def take(self) -> str | None:
        """Take the lease and return `None`; if another one holds it, return its name."""

    def release(self) -> None:
        """Release the lease, if it is held."""

    def holder(self) -> str:
        """Return the name of the holder, empty if there is none."""


_NAME_BYTES = 128
"""The bytes of the name of a process in the file."""
_RUN_BYTES = 4096
"""The bytes of a run's range. Who holds it has locked so many of them that the number tells which process that is."""
_PROCESSES = _RUN_BYTES - 2
_RUNS_FROM = 1 << 20
_RUN_BITS = 48
_ALL = 1 << 62
_FLOCK = "hhqqi4x"
_TRIES, _PAUSE = 200, 0.01
"""How often a lock is tried for that somebody holds only to remove the file."""

if sys.platform == "linux" and sys.maxsize > 1 << 32:
    import fcntl

    HAS_RANGES = True
    """Whether this system has such locks."""

    def _lock(descriptor: int, start: int, size: int) -> bool:
        """Lock a range, and tell whether nobody else has locked a part of it."""
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, 0, start, size, 0))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(descriptor: int, start: int, size: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_UNLCK, 0, start, size, 0))

    def _locked(descriptor: int, start: int, size: int) -> tuple[int, int] | None:
        """Return where somebody else has locked a part of a range, and how many bytes; `None` if nobody has."""
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, 0, start, size, 0)
        kind, _, start, size, _ = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
        return None if kind == fcntl.F_UNLCK else (start, size)

else:
    HAS_RANGES = False

    def _lock(descriptor: int, start: int, size: int) -> bool:
        raise NotImplementedError

    def _unlock(descriptor: int, start: int, size: int) -> None:
        raise NotImplementedError

    def _locked(descriptor: int, start: int, size: int) -> tuple[int, int] | None:
        raise NotImplementedError


class _Holder(NamedTuple):
    """Who has locked a part of a range; `is_passing` if only for the moment in which the file is removed."""

    name: str
    is_passing: bool


class _LockFile:
    """The open file of this process: its number among the processes, and the ranges that it holds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self.held: set[int] = set()
        self.number: int | None = None

    def is_current(self) -> bool:
        """Tell whether the path still leads to this file."""
        return is_same(self.descriptor, self.path)

    def enter(self) -> bool:
        """Take the first number that is free and write the name of this process; tell whether there was one."""
        for number in range(_PROCESSES):
            if _lock(self.descriptor, number, 1):
                self.number = number
                name = this_process().encode()[:_NAME_BYTES].ljust(_NAME_BYTES, b"\0")
                os.pwrite(self.descriptor, name, number * _NAME_BYTES)
                return True
            if _holder(self.descriptor, number, 1).is_passing:
                return False
        return False

    def lock(self, start: int) -> bool:
        """Lock the range of a run; tell whether it was free."""
        assert self.number is not None
        if start in self.held or not _lock(self.descriptor, start, self.number + 1):
            return False
        self.held.add(start)
        return True

    def unlock(self, start: int) -> None:
        """Unlock the range of a run."""
        assert self.number is not None
        self.held.discard(start)
        _unlock(self.descriptor, start, self.number + 1)

    def close(self) -> None:
        """Close the file, and remove it if nobody else has locked a part of it."""
        if _lock(self.descriptor, 0, _ALL) and self.is_current():
            with suppress(OSError):
                self.path.unlink()
        os.close(self.descriptor)


class RangeLease:
    """A lock on the range of one run. `older` is the lock file that earlier versions take for this run alone."""

    def __init__(self, path: Path, run_id: str, older: Path) -> None:
        self._path = path
        self._older = FileLease(older)
        digest = blake2b(run_id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big") >> (64 - _RUN_BITS)
        self._start = _RUNS_FROM + number * _RUN_BYTES
        self._file: _LockFile | None = None

    def take(self) -> str | None:
        """Take the lease and return `None`; if another one holds it, return its name."""
        for _ in range(_TRIES):
            with _guard:
                holder = self._try_take()
            if holder is None:
                break
            if not holder.is_passing:
                return holder.name
            time.sleep(_PAUSE)
        else:
            return "another process"
        older = self._older.holder()
        if older:
            self.release()
            return older
        return None

    def _try_take(self) -> _Holder | None:
        file = _files.get(self._path)
        if file is None or not file.is_current():
            file = _LockFile(self._path)
            if not file.enter() or not file.is_current():  # whoever held it last is removing it
                os.close(file.descriptor)
                return _Holder("", is_passing=True)
            _files[self._path] = file
        if not file.lock(self._start):
            if self._start in file.held:
                return _Holder(this_process(), is_passing=False)
            return _holder(file.descriptor, self._start, _RUN_BYTES)
        self._file = file
        return None

    def release(self) -> None:
        """Release the lease, if it is held; the last one of a process closes the file."""
        with _guard:
            file, self._file = self._file, None
            if file is None or self._start not in file.held:
                return
            file.unlock(self._start)
            if not file.held:
                if _files.get(self._path) is file:
                    del _files[self._path]
                file.close()

    def is_held(self) -> bool:
        """Tell whether somebody holds the lease."""
        return bool(self.holder())

    def holder(self) -> str:
        """Return the name of the holder, empty if there is none. Nothing is locked for that."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY)
        except FileNotFoundError:
            return self._older.holder()
        try:
            holder = _holder(descriptor, self._start, _RUN_BYTES)
        finally:
            os.close(descriptor)
        return ("" if holder.is_passing else holder.name) or self._older.holder()


def _holder(descriptor: int, start: int, size: int) -> _Holder:
    locked = _locked(descriptor, start, size)
    if locked is None:
        return _Holder("", is_passing=True)  # it has been unlocked in the meantime
    _, locked_size = locked
    if locked_size > _RUN_BYTES:
        return _Holder("", is_passing=True)  # all of the file is locked
    name = os.pread(descriptor, _NAME_BYTES, (locked_size - 1) * _NAME_BYTES).rstrip(b"\0")
    return _Holder(name.decode(errors="replace") or "another process", is_passing=False)


_files: dict[Path, _LockFile] = {}
_guard = threading.Lock()


def _forget_all() -> None:
    """Hold none of the locks of a parent process: they are those of its open files, which the child has too."""
    global _guard
    _guard = threading.Lock()
    for file in _files.values():
        file.held.clear()
        os.close(file.descriptor)
    _files.clear()


in_each_child(_forget_all)
