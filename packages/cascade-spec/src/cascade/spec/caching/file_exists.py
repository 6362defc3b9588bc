"""`FileExists`: a call that makes a file is not made where that file is there.

A file that is being made has a mark beside it, so that half of one is never taken for the whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from cascade.spec.late_dataclasses import dataclass
from cascade.spec.protocols import CachedCall, CacheKey, Hit


@dataclass(frozen=True, slots=True)
class FileExists:
    """Skips the call where the file that it makes is there already; its value is then the path.

    While a call makes the file, a mark in the same folder says that it is not finished: `.NAME-....unfinished`. The
    mark is removed when the call has succeeded. Where the call has failed and left a file, the mark stays, and the call
    is made again.
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
        if not os.path.exists(self.path):  # noqa: PTH110 - as above
            return None
        from pathlib import Path  # noqa: PLC0415 - costs more than this module, and most policies never need it

        return Hit(Path(self.path))


def marks_of(path: str | os.PathLike[str]) -> Iterator[str]:
    """Yield the paths at which a mark may say that a file is not finished: in its folder, and in each one above.

    The name of a mark is made of the path from its folder to the file: it is the same wherever the folder is mounted.
    """
    from hashlib import blake2b  # noqa: PLC0415 - as `pathlib` above

    whole = os.path.realpath(os.fsdecode(path))
    folder = whole
    while True:
        above = os.path.dirname(folder)  # noqa: PTH120 - as above
        if above == folder:
            return
        folder = above
        way = os.path.relpath(whole, folder).encode("utf-8", "surrogatepass")
        name = os.path.basename(whole)[:100]  # noqa: PTH119
        yield os.path.join(folder, f".{name}-{blake2b(way, digest_size=6).hexdigest()}.unfinished")  # noqa: PTH118


def mark_to_make(path: str | os.PathLike[str]) -> str:
    """Return the path at which a file is marked: of a mark that is there, else in the nearest folder that exists."""
    marks = list(marks_of(path))
    left = [each for each in marks if os.path.lexists(each)]
    return (left or [each for each in marks if os.path.isdir(os.path.dirname(each))])[0]  # noqa: PTH112, PTH120
