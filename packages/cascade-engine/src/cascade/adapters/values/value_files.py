"""Values as files in a folder, which is made with the first file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from shutil import rmtree

from cascade.spec.errors import DamagedDataError, StoreError

_TRIES = 1000


class FileValueStore:
    """Keeps each value in a file of mode 0600 below a folder."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def __repr__(self) -> str:
        return f"FileValueStore({str(self._folder)!r})"

    @classmethod
    def beside(cls, store: str | os.PathLike[str]) -> FileValueStore:
        """Return the value store that belongs to a store in a file, the same for each name of that file."""
        path = Path(store).resolve()
        return cls(path.with_name(f"{path.name}.values"))

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        """Keep bytes under a name.

        Raises:
            StoreError: If the file can't be written.
        """
        path = self._folder / name
        try:
            for left in reversed(range(_TRIES)):
                try:
                    self._write(path, data, safe)
                    return
                except (FileExistsError, FileNotFoundError):  # the former if the folder goes while it is made
                    if not left:
                        raise  # else another one has deleted the last name of the folder meanwhile, and the folder
        except OSError as problem:
            raise StoreError(str(path), f"can't be written: {problem.strerror or problem}") from problem

    def _write(self, path: Path, data: bytes, safe: bool) -> None:
        self._make_folders(path.parent)
        written = path.with_name(f".{token_hex(8)}.part")  # a killed process with the same id left another
        try:
            descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                if safe:
                    file.flush()
                    os.fsync(file.fileno())
            written.replace(path)
        except BaseException:
            written.unlink(missing_ok=True)
            raise
        if safe:
            _sync_folder(path.parent)

    def _make_folders(self, folder: Path) -> None:
        made = []
        while not folder.is_dir():
            made.append(folder)
            folder = folder.parent
        for each in reversed(made):
            each.mkdir(mode=0o700, exist_ok=True)
            _sync_folder(each.parent)

    def get(self, name: str, size: int) -> bytes:
        """Return the bytes of a name.

        Raises:
            DamagedDataError: If there is no such file, or it is of another size.
            StoreError: If it can't be read.
        """
        path = self._folder / name
        try:
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_size != size:
                    raise DamagedDataError(f"{path}, the file of a large value, is of another size")
                return file.read(size)
        except FileNotFoundError:
            raise DamagedDataError(f"{path}, the file of a large value, is missing") from None
        except OSError as problem:
            raise StoreError(str(path), f"can't be read: {problem.strerror or problem}") from problem

    def delete(self, name: str) -> None:
        """Delete a name, or a folder with all below it, and folders that are empty after that."""
        path = self._folder / name
        if path.is_dir() and not path.is_symlink():
            rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        with suppress(OSError):  # not empty, or gone already
            while path != self._folder:
                path = path.parent
                path.rmdir()

    def names(self, folder: str) -> Iterator[tuple[str, float, int]]:
        """Yield the names below a folder, with the time and the size of each; half written files too."""
        for path in sorted((self._folder / folder).rglob("*")):
            with suppress(OSError):
                status = path.lstat()
                if not path.is_dir():
                    yield path.relative_to(self._folder).as_posix(), status.st_mtime, status.st_size


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # systems that can't
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
