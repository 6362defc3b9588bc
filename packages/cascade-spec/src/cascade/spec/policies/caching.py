"""Cache policies: what the key of a call is, and how long its value holds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from cascade.spec.errors import PolicyError
from cascade.spec.policies.declared import check_seconds
from cascade.spec.protocols import CachedCall, CacheKey, Hit


@dataclass(frozen=True, slots=True)
class ByInputs:
    """A value holds for calls of the same task with equal arguments, for `ttl` seconds or for ever.

    A task is the same as long as its code is: see `cascade.spec.code.code_version`. `version` sets apart what the
    code does not show, a file that the task reads or a model that it asks.
    """

    ttl: float | None = None
    version: str = ""

    def __post_init__(self) -> None:
        if self.ttl is not None and not check_seconds("ByInputs(ttl=...)", self.ttl) > 0:
            raise PolicyError("ByInputs(ttl=0)", "give more than 0 seconds, or None for no limit")

    def key(self, call: CachedCall) -> CacheKey | None:
        """Return the key of the task with its code, of the version, and of each argument.

        Raises:
            UncacheableError: If an argument has no canonical form; it names the argument and the type.
        """
        # Loaded at the first key: with what it needs it would be a third of the time that the package takes to import.
        keys = import_module("cascade.spec.cache_keys")
        key: CacheKey = keys.key_of_call(call, self.version)
        return key

    def known(self, call: CachedCall) -> Hit | None:
        """Nothing is known without asking the cache."""
        return None


@dataclass(frozen=True, slots=True)
class FileExists:
    """The call is not made where the file that it makes is there already; its value is then the path.

    While a call makes the file, a mark in the same folder says that it is not finished, `.NAME-....unfinished`. It goes
    when the call has succeeded. Where it has not, and there is a file, the mark stays, and the call is made again.
    """

    path: str | os.PathLike[str]

    @property
    def ttl(self) -> float | None:
        """The file itself says how long it holds."""
        return None

    @property
    def place(self) -> str:
        """The file's path as one text, whatever it is written as and wherever one stands."""
        return os.path.abspath(os.fsdecode(self.path))  # noqa: PTH100 - of `pathlib`, which loads only where it is used

    def key(self, call: CachedCall) -> CacheKey | None:
        """No value is kept: the file is."""
        return None

    def known(self, call: CachedCall) -> Hit | None:
        """Return the path, if there is such a file and it is finished."""
        hit = self.known_while_marked()
        return None if hit is None or any(map(os.path.lexists, marks_of(self.path))) else hit

    def known_while_marked(self) -> Hit | None:
        """Return the path, if there is such a file."""
        return Hit(import_module("pathlib").Path(self.path)) if os.path.exists(self.path) else None  # noqa: PTH110


def marks_of(path: str | os.PathLike[str]) -> Iterator[str]:
    """Give the places where a mark may say that a file is not finished: its folder, and those above it.

    The name of a mark is made of the way from its folder to the file, so it is the same wherever the folder is mounted.
    """
    hashing = import_module("hashlib")
    whole = os.path.realpath(os.fsdecode(path))
    folder = whole
    while True:
        above = os.path.dirname(folder)  # noqa: PTH120 - as above
        if above == folder:
            return
        folder = above
        way = os.path.relpath(whole, folder).encode("utf-8", "surrogatepass")
        name = os.path.basename(whole)[:100]  # noqa: PTH119
        yield os.path.join(folder, f".{name}-{hashing.blake2b(way, digest_size=6).hexdigest()}.unfinished")  # noqa: PTH118


def mark_to_make(path: str | os.PathLike[str]) -> str:
    """Return where the mark of a file is made: where one is, else in the first folder on the way that is there."""
    marks = list(marks_of(path))
    left = [each for each in marks if os.path.lexists(each)]
    return (left or [each for each in marks if os.path.isdir(os.path.dirname(each))])[0]  # noqa: PTH112, PTH120
