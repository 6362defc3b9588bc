"""Claims about who may write a run: whoever took it last, whatever became of locks and leases meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.resuming import WANTED, add, give, noted, play, sixty
from support.stores import path_of, recorded
from support.suspended import CALLS, calls_of, target

import cascade as cs
from cascade.adapters.sqlite_bindings.chosen_binding import binding
from cascade.adapters.sqlite_files import JournalMode, journal_mode
from cascade.adapters.state import SqliteCatalog, SqliteStateBackend
from cascade.adapters.state.sqlite.sqlite_journal import lock_path
from cascade.spec import RunActiveError, RunLostError, StoreError
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import FactLabel, RunRecord
from cascade.testing.conformance.sample_keys import node_at

pytestmark = pytest.mark.usefixtures("story")

HERE = Path(__file__).parent
LABEL = FactLabel("task", "root")
ANOTHER_NAME = "another name of the file"


def record() -> RunRecord:
    return RunRecord("task", "", (), {}, {}, b"", DIGEST_RULES)


def unlock(path: Path, how: str) -> Path:
    """Let a run be taken a second time while it is driven; return the file to take it by."""
    lock = lock_path(path, "r")
    if how == "removed":
        lock.unlink()
    elif how == "replaced":
        lock.rename(path.with_name("old.lock"))
        lock.touch()
    else:
        return path.with_name("other.db")
    return path


HOWS = ["removed", "replaced", ANOTHER_NAME]


def make(path: Path, how: str) -> None:
    """Make an empty file, with another name if the run is to be taken by that."""
    path.touch()
    if how == ANOTHER_NAME:
        path.with_name("other.db").hardlink_to(path)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("anew", [False, True])
async def test_who_has_lost_a_run_writes_nothing_more(file_url: str, how: str, anew: bool) -> None:
    """When a second driver has taken a run of a file, the first one's next commit is refused and changes nothing."""
    path = Path(path_of(file_url))
    make(path, how)
    first = SqliteStateBackend(path, run_id="r", durability="async")
    assert await first.open() is None
    first.begin(record())
    first.keep_result(node_at(0), "first", LABEL)
    await first.commit()
    second = SqliteStateBackend(unlock(path, how), run_id="r", durability="async")
    assert (await second.open(anew=anew) is None) == anew
    second.begin(record()) if anew else second.put_record(record())
    await second.commit()
    first.keep_result(node_at(1), "lost", LABEL)
    with pytest.raises(RunLostError, match=rf"taken over by process {os.getpid()} on "):
        await first.commit()
    second.keep_result(node_at(2), "second", LABEL)
    await second.commit()
    await first.close()
    third = SqliteStateBackend(path, run_id="r", durability="async")
    if how != ANOTHER_NAME:
        with pytest.raises(RunActiveError):  # who has lost a run takes nobody's lock away
            await third.open()
        await third.close()
    await second.close()
    assert await third.open() == record()
    assert [third.has_result(node_at(number)) for number in range(3)] == [not anew, False, True]
    await third.close()


@pytest.mark.parametrize("how", HOWS)
async def test_of_two_who_open_a_run_at_once_one_writes(file_url: str, how: str) -> None:
    """Of two drivers that have opened a run before either has written, the first to write has it."""
    path = Path(path_of(file_url))
    make(path, how)
    first = SqliteStateBackend(path, run_id="r", durability="async")
    await first.open()
    second = SqliteStateBackend(unlock(path, how), run_id="r", durability="async")
    await second.open()
    for backend in (second, first):
        backend.begin(record())
        backend.keep_result(node_at(), "value", LABEL)
    await second.commit()
    for _ in range(2):
        with pytest.raises(RunLostError):
            await first.commit()
        first.begin(record())
    await first.close()
    await second.commit()
    await second.close()


async def test_a_log_has_one_name(file_url: str, each_binding: str) -> None:
    """While a file is in use with a log, another name of it is refused; afterwards both names are of one store."""
    path = Path(path_of(file_url))
    other = path.with_name("other.db")
    first = SqliteStateBackend(path, run_id="r", durability="async")
    await first.open()
    other.hardlink_to(path)
    second = SqliteStateBackend(other, run_id="s", durability="async")
    if journal_mode(binding().version) is JournalMode.WAL:
        with pytest.raises(StoreError, match="several names"):
            await second.open()
        await second.close()
    first.begin(record())
    await first.commit()
    await first.close()
    await second.open()
    second.begin(record())
    await second.commit()
    await second.close()
    for name in (path, other):
        assert {run.run_id for run in SqliteCatalog(name).runs()} == {"r", "s"}


async def test_a_run_that_was_deleted_is_not_written(file_url: str) -> None:
    """A driver whose run was deleted, past a lock that was removed, is told that it is gone; nothing comes back."""
    path = Path(path_of(file_url))

    first = SqliteStateBackend(path, run_id="r", durability="async")
    await first.open()
    first.begin(record())
    await first.commit()
    lock_path(path, "r").unlink()
    await asyncio.to_thread(SqliteCatalog(path).delete, "r")
    first.keep_result(node_at(), "lost", LABEL)
    with pytest.raises(StoreError, match="does not know any more who drives the run 'r'"):
        await first.commit()
    await first.close()
    assert SqliteCatalog(path).runs() == []


@cs.task(mode="thread")
def steal(number: int, url: str, target: Callable[[], Any]) -> int:
    """Remove the lock of the run that this is a call of, and drive the run to its end elsewhere."""
    noted(f"link {number}")
    lock = lock_path(Path(path_of(url)), "r")
    if lock.exists() and not STOLEN:
        STOLEN.append(True)
        lock.unlink()
        cs.run(target(), state=url, run_id="r")
    return number


@cs.task
def link(number: int, before: int) -> int:
    noted(f"link {number}")
    return number


STOLEN: list[bool] = []


async def test_two_drivers_of_a_run_repeat_only_what_was_in_flight(file_url: str) -> None:
    """A run whose lock was removed and that another driver has taken stops at its next commit: no call is begun."""

    def chain() -> Any:
        last: Any = give("start", 0)
        for number in range(120):
            last = steal(number, file_url, chain) if number == 60 else link(number, last)
        return add("end", last)

    STOLEN.clear()
    seen = await play(file_url, chain())
    assert isinstance(seen.error, RunLostError)
    assert "not recorded" in str(seen.error)
    twice = {name for name in seen.calls if seen.calls.count(name) > 1}
    assert len(twice) <= 2
    assert (await play(file_url, chain())).value == 119


@pytest.mark.server
@pytest.mark.parametrize("kind", ["inline", "later", "thread", "loop"])
async def test_who_wakes_after_its_lease_begins_no_more_calls(
    server_url: str, kind: str, tmp_path: Path
) -> None:
    """A driver that was suspended for longer than its lease, and whose run another has taken, begins no call."""
    log = tmp_path / "calls"
    program = "import sys; from support.suspended import main; main(*sys.argv[1:])"
    tests = HERE.parents[2] / "tests"
    with subprocess.Popen(
        [sys.executable, "-c", program, server_url, kind, str(log)],
        env={**os.environ, "PYTHONPATH": str(tests)},
        stderr=subprocess.PIPE,
        text=True,
    ) as first:
        try:
            stopped_or_ended = os.WSTOPPED | os.WEXITED | os.WNOWAIT
            status = await asyncio.to_thread(os.waitid, os.P_PID, first.pid, stopped_or_ended)
            assert status is not None
            assert status.si_code == os.CLD_STOPPED
            begun = len(calls_of(log))
            seen = await play(server_url, target(kind, log), make=recorded(server_url, lease_seconds=1.0))
            assert seen.value == CALLS == len({call.split()[0] for call in calls_of(log)})
            before = [call for call in calls_of(log) if call.endswith(f" {first.pid}")]
            assert len(before) == begun
            first.send_signal(signal.SIGCONT)
            _, errors = first.communicate(timeout=60)
            assert "RunLostError" in errors
            after = [call for call in calls_of(log) if call.endswith(f" {first.pid}")]
            assert len(after) - begun <= 8
        finally:
            first.kill()


@pytest.mark.filterwarnings("ignore::cascade.runtime.exceptions.BlockedLoopWarning")
async def test_a_lease_that_has_ended_is_renewed(server_url: str) -> None:
    """A driver that holds the loop for longer than its lease goes on, if nobody has taken the run."""

    @cs.task
    def hold(x: int) -> int:
        time.sleep(0.3)
        return x

    @cs.task
    async def later(x: int) -> int:
        return x

    held = add("end", *(later(hold(number)) for number in range(3)))
    seen = await play(server_url, held, make=recorded(server_url, lease_seconds=0.2))
    assert (seen.error, seen.value) == (None, 3)
    assert (await play(server_url, sixty(), run_id="other")).value == WANTED
