"""Values as objects in a bucket: S3, Google Cloud Storage, Azure. Needs the extra `cascade-engine[values]`.

fsspec speaks to all of them, each through a driver that is installed beside it. A driver finds credentials and the
address of its service where its own documentation says; no URL has them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

from cascade.spec.errors import CascadeError, DamagedDataError, MissingExtraError, StoreError
from cascade.spec.late_dataclasses import dataclass

DRIVERS = {
    "s3": "s3fs",
    "gs": "gcsfs",
    "az": "adlfs",
    "abfs": "adlfs",
    "memory": "fsspec",
}
"""The schemes of buckets, and the package with the driver of each. `memory` is for tests: it ends with the process."""


@dataclass(eq=False)
class MissingDriverError(CascadeError, ImportError):
    """fsspec has no driver for a scheme: `package` is not installed."""

    url: str
    package: str

    def __str__(self) -> str:
        return f"the value store {self.url} needs a driver of fsspec: pip install {self.package}"


class BucketValueStore:
    """Keeps each value in an object of a bucket, below a folder.

    An object is there when it is whole: the services promise that. What was put survives the loss of power.

    Raises:
        MissingExtraError: If the extra is not installed.
        MissingDriverError: If the driver of the scheme is not.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._scheme, _, self._root = self._url.partition("://")
        self._files: Any = None
        self._open()

    def __repr__(self) -> str:
        return f"BucketValueStore({self._url!r})"

    def __reduce__(self) -> tuple[type[BucketValueStore], tuple[str]]:
        return BucketValueStore, (self._url,)  # a connection can't travel to another process

    def _open(self) -> None:
        try:
            import fsspec  # noqa: PLC0415 - an extra
        except ImportError as problem:
            raise MissingExtraError(f"the value store {self._url}", "values") from problem
        try:
            # Others write to the bucket too: nothing that was listed before is true for long.
            self._files = fsspec.filesystem(self._scheme, use_listings_cache=False)
        except ImportError as problem:
            raise MissingDriverError(self._url, DRIVERS[self._scheme]) from problem

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        """Keep bytes under a name.

        Raises:
            StoreError: If the object can't be written.
        """
        with self._errors(name, "written"):
            self._files.pipe_file(self._path(name), data)

    def get(self, name: str, size: int) -> bytes:
        """Return the bytes of a name.

        Raises:
            DamagedDataError: If there is no such object, or it is of another size.
            StoreError: If it can't be read.
        """
        with self._errors(name, "read"):
            try:
                data = bytes(self._files.cat_file(self._path(name)))
            except FileNotFoundError:
                raise DamagedDataError(
                    f"{self._shown(name)}, the object of a large value, is missing"
                ) from None
        if len(data) != size:
            raise DamagedDataError(f"{self._shown(name)}, the object of a large value, is of another size")
        return data

    def delete(self, name: str) -> None:
        """Delete a name, or all names below a folder."""
        with suppress(StoreError), self._errors(name, "deleted"), suppress(FileNotFoundError):
            found = self._files.find(self._path(name))
            if found:
                self._files.rm([*found])

    def names(self, folder: str) -> Iterator[tuple[str, float, int]]:
        """Yield the names below a folder, with the time and the size of each.

        Raises:
            StoreError: If the bucket can't be listed.
        """
        with self._errors(folder, "listed"):
            found = sorted(self._found(folder))
        for path, info in found:
            name = path.strip("/").removeprefix(self._root).strip("/")
            yield name, _put_at(info), int(info["size"])

    def _found(self, folder: str) -> list[tuple[str, dict[str, Any]]]:
        try:
            found = self._files.find(self._path(folder), detail=True)
        except FileNotFoundError:
            return []
        if not isinstance(found, dict):  # adlfs forgets the details where the path is that of one object
            found = {path: self._files.info(path) for path in found}
        return [(path, info) for path, info in found.items() if info["type"] == "file"]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def _shown(self, name: str) -> str:
        return f"{self._url}/{name}"

    @contextmanager
    def _errors(self, name: str, done: str) -> Iterator[None]:
        """Raise what a driver raises as a `StoreError`: each has errors of its own."""
        try:
            yield
        except CascadeError:
            raise
        except Exception as problem:
            text = f"{type(problem).__name__}: {problem}".splitlines()[0]
            raise StoreError(self._shown(name), f"can't be {done}: {text}") from problem


def _put_at(info: dict[str, Any]) -> float:
    """Return when an object was put; each driver tells it in a way of its own."""
    for field in ("LastModified", "last_modified", "mtime", "updated", "created"):
        found = info.get(field)
        if isinstance(found, str):
            found = datetime.fromisoformat(found)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
    return float("inf")  # nobody takes it for old
