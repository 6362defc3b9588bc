"""Tasks with large results, as worker processes import them."""

from __future__ import annotations

import os
from pathlib import Path

import cascade as cs
from cascade.adapters.codec import DataCodec
from cascade.adapters.executors.boundary_errors import WorkerDiedError
from cascade.adapters.values import FileValueStore
from cascade.runtime import Engine
from cascade.spec import RetryPolicy

MANY = 200_000
OVER = 10_000


@cs.task
def load(number: int, size: int = MANY) -> bytes:
    return bytes([number]) * size


@cs.task
def pid_of(number: int) -> list[int]:
    return [number, os.getpid(), *range(MANY)]


@cs.task(mode="inline")
def checked(data: bytes, marker: str) -> int:
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("down")
    return data[0] + len(data)


@cs.task(mode="inline")
def total(parts: list[bytes], marker: str) -> int:
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("down")
    return sum(map(len, parts))


@cs.task
def with_a_secret(token: str) -> list[object]:
    return [token * MANY, object()]


@cs.task(mode="inline")
async def inner(url: str, folder: str) -> int:
    async with Engine(executor="processes:1") as engine:
        return len(await engine.run(load(5)))


class NotedCodec(DataCodec):
    """Notes which process has encoded large values."""

    def __init__(self, notes: str) -> None:
        super().__init__()
        self.notes = notes

    def encode(self, value: object, *, key: bytes) -> bytes:
        data = super().encode(value, key=key)
        if len(data) > OVER:
            with Path(self.notes).open("a") as file:
                file.write(f"{os.getpid()}\n")
        return data


class DyingStore(FileValueStore):
    """Ends the worker process that puts the first value, when the value is there and nobody was told."""

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        super().put(name, data, safe=safe)
        marker = self._folder.with_name("died")
        if not marker.exists():
            marker.touch()
            os._exit(9)


class HomeStore(FileValueStore):
    """Can put values in the process that has made it, and fails in others with an error of its driver's."""

    def __init__(self, folder: Path, home: int) -> None:
        super().__init__(folder)
        self._home = home

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        if os.getpid() != self._home:
            raise PermissionError("no credentials here")
        super().put(name, data, safe=safe)


@cs.task(retry=RetryPolicy(1, on=WorkerDiedError))
def tried(number: int) -> bytes:
    return bytes([number]) * MANY
