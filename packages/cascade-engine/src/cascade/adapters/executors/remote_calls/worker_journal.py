"""What a worker of a cluster has done of its request, in a file of its machine that outlives it.

When the worker dies, or is killed since its request was cancelled, somebody on that machine finds here which call was
under way, and how those before it have ended: see `find_remains`.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import mmap
import os
import socket
import struct
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from cascade.adapters.executors.remote_calls.call_reports import CallReport, ToldEnd, report_from
from cascade.adapters.forks import in_each_child

NAME_SIZE = 16
"""The bytes that name a request."""

_HEAD = struct.Struct(f"{NAME_SIZE}sq")  # the request, and how many bytes of ends follow
_LENGTH = struct.Struct("q")
_SIZE = 1 << 20
_FOLDER = Path("/dev/shm" if Path("/dev/shm").is_dir() else tempfile.gettempdir())
_PREFIX = "cascade-journal-"
_GONE = 0.0  # the time of change of a file without a worker; that of the last access is when it was found

KEPT_SECONDS = 60.0
"""How long the file of a worker that has gone stays, for those who ask for it."""

DEATH_SECONDS = 10.0
"""How long to wait for the end of a process that is being killed."""


class Remains(NamedTuple):
    """What a worker that has gone has left: its report as bytes, and the position of the call that was under way.

    If none was, that is the one that would have been next.
    """

    report: bytes
    under_way: int


class WorkerJournal:
    """A journal of this process. It is written into memory: what is there when the process is killed stays.

    A process that serves several requests at a time has one for each. As long as it lives it holds a lock on the file.
    So everybody who sees the file can tell, also in another container, whose process numbers mean other processes.
    """

    def __init__(self) -> None:
        _sweep()
        name = f"{os.getpid()}-{uuid.uuid4().hex}"
        path, made = _FOLDER / f"{_PREFIX}{name}", _FOLDER / f".{_PREFIX}{name}"
        self._lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        _locked(self._lock)
        made.rename(path)  # nobody has seen it without its lock
        os.ftruncate(self._lock, _SIZE)
        # Opened by itself: what is forked from this process keeps the memory, but not the lock.
        file = os.open(path, os.O_RDWR)
        try:
            self._memory = mmap.mmap(file, _SIZE)
        finally:
            os.close(file)
        in_each_child(functools.partial(os.close, self._lock))
        atexit.register(path.unlink, missing_ok=True)
        self._end = _HEAD.size

    def begin_request(self, request: bytes) -> None:
        """Note that a request has come; `request` names it."""
        self._end = _HEAD.size
        _HEAD.pack_into(self._memory, 0, request, 0)

    def add(self, end: ToldEnd) -> bool:
        """Note how a call has ended, unless its value stays; return whether it was noted."""
        if end.body is None:
            return False  # who dies now takes the value along: the call is as good as under way
        entry = CallReport([end], "", 0.0).as_bytes()
        start, stop = self._end + _LENGTH.size, self._end + _LENGTH.size + len(entry)
        if stop > _SIZE:
            return False
        _LENGTH.pack_into(self._memory, self._end, len(entry))
        self._memory[start:stop] = entry
        self._end = stop
        _LENGTH.pack_into(
            self._memory, NAME_SIZE, stop - _HEAD.size
        )  # last: what is half written does not count
        return True


def find_remains(request: bytes, seconds: float = DEATH_SECONDS) -> Remains | None:
    """Return what the worker on this machine has left that had a request; `None` if none had it.

    Waits until that worker has ended, at most for so many seconds.
    """
    for path in _FOLDER.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), path.open("rb") as file:
            head = file.read(_HEAD.size)
            if head[:NAME_SIZE] != request:
                continue
            has_ended = _wait_for_end(file.fileno(), seconds)
            file.seek(0)  # it has gone on until now
            found = file.read()
            if has_ended:
                path.unlink(missing_ok=True)
            return _remains(found, f"{socket.gethostname()}:{_process_of(path)}")
    return None


def _remains(found: bytes, worker: str) -> Remains:
    _, size = _HEAD.unpack_from(found)
    ends: list[ToldEnd] = []
    start = _HEAD.size
    while start < _HEAD.size + size:
        (length,) = _LENGTH.unpack_from(found, start)
        start += _LENGTH.size + length
        ends += report_from(found[start - length : start]).ends
    return Remains(CallReport(ends, worker, time.monotonic()).as_bytes(), len(ends))


def _wait_for_end(file: int, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while not (has_ended := _locked(file)) and time.monotonic() < limit:
        time.sleep(0.001)
    return has_ended


if sys.platform == "win32":

    def _locked(file: int) -> bool:
        """Return True: this system lets nobody rename or remove the file of a process that goes on."""
        return True

else:
    import fcntl

    def _locked(file: int) -> bool:
        """Lock a file if nobody else has: the system lets go of the lock of a process that has ended."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


def _sweep() -> None:
    """Remove the files of workers that have gone long ago: those that were found without a worker a while before."""
    now = time.time()
    for path in _FOLDER.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if (known := path.stat()).st_mtime == _GONE:
                if known.st_atime < now - KEPT_SECONDS:
                    path.unlink()
            elif _is_left(path):
                os.utime(path, (now, _GONE))  # under another name, who looks for it just now would miss it


def _is_left(path: Path) -> bool:
    with path.open("rb") as file:
        return _locked(file.fileno())


def _process_of(path: Path) -> str:
    return path.name.removeprefix(_PREFIX).partition("-")[0]
