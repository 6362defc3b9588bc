"""File marks: while a call makes a file, a mark beside the file says that it is not finished.

The mark is a locked file. A mark that is not locked was left by a call that failed or was killed: the file, if there is
one, may be written in part and is made again.
"""

from __future__ import annotations

import asyncio
import os

from cascade.adapters.state.lease import FileLease
from cascade.spec.caching.file_exists import mark_to_make, marks_of

_PAUSES = (0.02, 0.05, 0.1, 0.2)
"""Seconds between two looks at a file that another process is making; the last one again and again."""


class FileMark:
    """The mark of one file, held while the call is made that makes it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._lease: FileLease | None = None

    async def take(self) -> None:
        """Mark the file as unfinished; wait as long as another process makes it.

        Raises:
            OSError: If no mark can be made.
        """
        looks = 0
        while (lease := FileLease(mark_to_make(self._path))).try_take() is not None:
            await asyncio.sleep(_PAUSES[min(looks, len(_PAUSES) - 1)])
            looks += 1
        self._lease = lease

    @property
    def was_left(self) -> bool:
        """Whether the file was marked already, by a call that failed or was killed."""
        return self._lease is not None and self._lease.was_left

    def remove(self) -> None:
        """Remove the mark: the file is finished."""
        if self._lease is not None:
            self._lease.release()
            self._lease = None
            for mark in filter(os.path.lexists, marks_of(self._path)):  # left in a folder further up
                other = FileLease(mark)
                if other.try_take() is None:
                    other.release()

    def leave(self) -> None:
        """Release the mark without a finished file; what there is of the file stays marked."""
        if self._lease is None:
            return
        if os.path.lexists(self._path):
            self._lease.leave()
            self._lease = None
        else:
            self.remove()
