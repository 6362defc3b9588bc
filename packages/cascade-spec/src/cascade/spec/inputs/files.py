"""Input files: a path that stands for the content of the file.

In cache keys and in recorded runs only the digest of its content counts.
"""

from __future__ import annotations

import os
import time
from stat import S_ISREG
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from cascade.spec.errors import FileUnreadableError, SpecError

if TYPE_CHECKING:
    from pathlib import Path

_SETTLED_SECONDS = 2.0
"""How old a file must be for a change to show in its times: some file systems count in steps of two seconds."""

_MOST = 10_000
_BLOCK = 1 << 20
_TRIES = 3


class File:
    """A file that a task reads: an argument, a default, or the type of a parameter.

    It can be used as a path: `open(file)`, `pandas.read_csv(file)`, `file.path`. Two are equal if their paths are.
    """

    __slots__ = ("_name",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if isinstance(path, File):
            path = path.__fspath__()
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if not isinstance(name, str) or not name or "\0" in name:
            raise SpecError(f"File({path!r})", "give the path of a file")
        self._name = name

    @property
    def path(self) -> Path:
        """The path, as it was given."""
        # Loaded where it is used: few programs that import the spec need it.
        from pathlib import Path  # noqa: PLC0415

        return Path(self._name)

    def open(self, mode: str = "r", **options: Any) -> IO[Any]:
        """Open the file, as `open` does."""
        return self.path.open(mode, **options)

    def digest(self) -> bytes:
        """Return the sha256 of the content, 32 bytes.

        The file is not read again while path, device, inode, size and time of change are the same, if it was at least
        two seconds old when it was read.

        Raises:
            FileUnreadableError: If there is no such file, it can't be read, or is being changed while it is read.
        """
        _made[0] += 1
        try:
            return _digest_of(os.path.abspath(self._name), self._name)  # noqa: PTH100 - without pathlib
        except (OSError, ValueError) as problem:
            if isinstance(problem, FileUnreadableError):
                raise
            reason = getattr(problem, "strerror", None) or str(problem)
            raise FileUnreadableError(self._name, reason) from problem

    def __fspath__(self) -> str:
        return self._name

    def __eq__(self, other: object) -> bool:
        return self._name == other._name if isinstance(other, File) else NotImplemented

    def __hash__(self) -> int:
        return hash((File, self._name))

    def __str__(self) -> str:
        return self._name

    def __repr__(self) -> str:
        return f"File({self._name!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return File, (self._name,)


class _Stamp(NamedTuple):
    """The facts of the file system that change when a file does."""

    device: int
    inode: int
    size: int
    changed: int


_known: dict[str, tuple[_Stamp, bytes]] = {}
_made = [0]


def digests_made() -> int:
    """Return how many digests of files were asked for in this process.

    The difference before and after a key is made says whether the key has files in it.
    """
    return _made[0]


def _digest_of(path: str, name: str) -> bytes:
    for _ in range(_TRIES):
        looked = time.time()
        before = _stamp(path, name)
        known = _known.get(path)
        if known is not None and known[0] == before:
            return known[1]
        found = _read(path)
        if _stamp(path, name) == before:
            _note(path, before, found, looked)
            return found
    raise FileUnreadableError(name, "it is being changed while it is read")


def _note(path: str, stamp: _Stamp, digest: bytes, looked: float) -> None:
    _known.pop(path, None)
    # A younger one may be changed again within the same tick of its file system's clock.
    if looked - stamp.changed / 1e9 > _SETTLED_SECONDS:
        if len(_known) >= _MOST:
            del _known[next(iter(_known))]
        _known[path] = stamp, digest


def _stamp(path: str, name: str) -> _Stamp:
    facts = os.stat(path)  # noqa: PTH116 - without pathlib
    if not S_ISREG(facts.st_mode):
        raise FileUnreadableError(name, "it is not a file")
    return _Stamp(facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _read(path: str) -> bytes:
    # Loaded when a file is first read: it brings OpenSSL.
    import hashlib  # noqa: PLC0415

    hashed = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - without pathlib
        while block := file.read(_BLOCK):
            hashed.update(block)
    return hashed.digest()
