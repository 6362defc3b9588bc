"""What a worker has done of its chunk, in memory that it shares with its parent and that outlives it.

When a worker dies, the parent finds here which call was under way, and the ends that were not sent yet. So only that
call is lost.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
from typing import NamedTuple

_HEAD = 16
_SIZE = 1 << 20
"""More than what ends in one period of telling; a larger result is sent at once."""


class SharedMemory(NamedTuple):
    """Memory that a child process can open too, by `handle`: a file descriptor, or a name on Windows."""

    memory: mmap.mmap
    handle: str

    def close_handle(self) -> None:
        """Close what the child has got; the memory stays."""
        if sys.platform != "win32":
            os.close(int(self.handle))


def make_shared_memory() -> SharedMemory:
    """Make the memory of a crash record. A child opens it with `open_shared_memory`."""
    if sys.platform == "win32":
        name = f"cascade-{os.urandom(16).hex()}"
        return SharedMemory(mmap.mmap(-1, _SIZE, tagname=name), name)
    descriptor = _anonymous_file()
    os.ftruncate(descriptor, _SIZE)
    return SharedMemory(mmap.mmap(descriptor, _SIZE), str(descriptor))


def open_shared_memory(handle: str) -> mmap.mmap:
    """Open the memory that the parent has made."""
    if sys.platform == "win32":
        return mmap.mmap(-1, _SIZE, tagname=handle)
    try:
        return mmap.mmap(int(handle), _SIZE)
    finally:
        os.close(int(handle))


def _anonymous_file() -> int:
    """Return the descriptor of a file that goes when nobody has it open any more."""
    if sys.platform == "linux":
        return os.memfd_create("cascade")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class CrashRecord:
    """The call under way, by its position in the chunk, and the ends since the last telling."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self._state = memoryview(memory)[:_HEAD].cast("q")  # the position, and how many bytes of ends follow

    def begin_chunk(self) -> None:
        """Note that no call of the chunk has begun."""
        self._state[0] = -1
        self._state[1] = 0

    def begin(self, position: int) -> None:
        """Note that a call begins."""
        self._state[0] = position

    def add(self, head: bytes, body: bytes) -> bool:
        """Add an end; return False if there is no room, so that it has to be told at once."""
        start = _HEAD + self._state[1]
        middle = start + len(head)
        end = middle + len(body)
        if end > _SIZE:
            return False
        self._memory[start:middle] = head
        self._memory[middle:end] = body
        self._state[1] = end - _HEAD  # last: a process that is killed before this has not added it
        return True

    def clear(self) -> None:
        """Forget the ends: they are told."""
        self._state[1] = 0

    def read(self) -> tuple[int, bytes]:
        """Return the position of the call that began last, -1 for none, and the ends that may not have been told."""
        return self._state[0], self._memory[_HEAD : _HEAD + self._state[1]]
