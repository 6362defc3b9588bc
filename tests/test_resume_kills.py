"""Processes that are killed: what they had recorded stands, and who comes next goes on at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import waiting
from support.redis_server import PROGRAMS, RedisProcess
from support.stores import is_in_server, url_in

import cascade as cs
from cascade.spec import RunActiveError

HERE = Path(__file__).parent
SLOW = 120.0
"""Seconds after which a process that should have done something counts as hanging."""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(HERE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


KILLABLE = """
import sys, pathlib
from support.killable import main
main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), pathlib.Path(sys.argv[4]), sys.argv[5])
"""


@pytest.fixture(params=["apsw", "sqlite3", "apsw sqlite3", *PROGRAMS, "postgres"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a server of each program; or, for stores in files, SQLite libraries that are used by turns."""
    if request.param == "postgres":
        yield request.getfixturevalue("postgres_url")
        return
    if request.param not in PROGRAMS:
        yield request.param
        return
    with RedisProcess(tmp_path, kind=request.param) as started:
        yield started.url


def survive(name: str, moments: int, seed: int, folder: Path, server: str) -> None:
    with start(KILLABLE, name, moments, seed, folder, server) as process:
        told, errors = process.communicate(timeout=SLOW * max(1, moments // 10))
    assert process.returncode == 0, told + errors
    assert len(told.splitlines()) == moments + 1


@pytest.mark.one_python
@pytest.mark.parametrize("name", ["layers", "loop"])
def test_a_killed_run_goes_on_and_no_recorded_call_is_made_again(
    name: str, server: str, tmp_path: Path
) -> None:
    """Killed at some moments, and again while it goes on, a run of 1,000 tasks or a loop ends as if it had not been."""
    survive(name, 10 if is_in_server(server) else 4, 2026, tmp_path, server)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["layers", "loop"])
def test_a_killed_run_goes_on_at_very_many_moments(name: str, server: str, tmp_path: Path) -> None:
    """The same at 200 moments, others each time."""
    survive(name, 200, random.randrange(2**32), tmp_path, server)


WAITING = """
import sys
from support import waiting
waiting.main(*sys.argv[1:])
"""


@pytest.mark.parametrize("how", ["inline", "process", "forked"])
def test_the_first_driver_excludes_others_until_it_is_dead(how: str, tmp_path: Path) -> None:
    """A second process is refused and told who is first; killed, the first is followed at once, whatever it started."""
    url = url_in(tmp_path)
    with start(WAITING, url, how, tmp_path) as first:
        try:
            await_file(tmp_path / "started", first)
            with pytest.raises(RunActiveError, match=rf"run 'r' .* driven by process {first.pid} on "):
                cs.run(waiting.target(how, tmp_path), state=url, run_id="r")
            first.send_signal(signal.SIGKILL)
            first.wait()
            (tmp_path / "open").touch()
            began = time.monotonic()
            value = cs.run(waiting.target(how, tmp_path), state=url, run_id="r")
            assert time.monotonic() - began < SLOW / 4
            assert value == ["before", "waited"]
        finally:
            (tmp_path / "end").touch()  # for what the first one has started
            first.kill()
    assert (tmp_path / "calls").read_text().split() == ["before", how, how]


def await_file(path: Path, process: subprocess.Popen[str]) -> None:
    ends = time.monotonic() + SLOW
    while not path.exists():
        assert time.monotonic() < ends
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_a_lease_is_told_by_the_file_and_not_by_its_name(tmp_path: Path) -> None:
    """A run that is driven under one name of its file is refused under another, a link's."""
    url = url_in(tmp_path)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "runs.db").symlink_to(tmp_path / "runs.db")

    @cs.task(mode="thread")
    def outer() -> str:
        with pytest.raises(RunActiveError):
            cs.run(outer(), state=url_in(tmp_path / "link"), run_id="r")
        return "refused"

    assert cs.run(outer(), state=url, run_id="r") == "refused"
