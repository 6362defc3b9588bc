"""Claims about the locks of recorded runs in an SQLite file: one driver for each run, one open file for all."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from support.contended_locks import contend

import cascade as cs
from cascade.adapters.state.lease import FileLease
from cascade.adapters.state.range_locks import HAS_RANGES
from cascade.adapters.state.sqlite.sqlite_journal import lock_path, own_lock_path, run_lease
from cascade.spec.errors import RunActiveError

RUNS = 500

with_ranges = pytest.mark.skipif(not HAS_RANGES, reason="this system has no locks of ranges")


def descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@with_ranges
async def test_hundreds_of_runs_take_a_handful_of_open_files(file_url: str) -> None:
    """500 recorded runs in progress on one engine have a few files open in all, and none stays."""
    begun, all_begun, goes_on = 0, asyncio.Event(), asyncio.Event()

    @cs.task
    async def wait(number: int) -> int:
        nonlocal begun
        begun += 1
        if begun == RUNS:
            all_begun.set()
        await goes_on.wait()
        return number

    before = descriptors()
    async with cs.Engine(state=file_url) as engine:
        runs = [
            asyncio.create_task(engine.run(wait(number), run_id=f"run {number}")) for number in range(RUNS)
        ]
        await all_begun.wait()
        assert descriptors() - before < 10
        goes_on.set()
        assert await asyncio.gather(*runs) == [*range(RUNS)]
    assert descriptors() <= before
    folder = Path(file_url.removeprefix("sqlite:///")).parent
    assert not [*folder.glob("*.lock")]


@with_ranges
async def test_a_driver_of_an_earlier_version_is_seen(file_url: str) -> None:
    """Who drives a run by a lock file of its own, as earlier versions do, keeps others out, and is named."""

    @cs.task
    def one() -> int:
        return 1

    path = Path(file_url.removeprefix("sqlite:///"))
    older = FileLease(own_lock_path(path, "r"))
    assert older.take() is None
    assert run_lease(path, "r").holder()
    with pytest.raises(RunActiveError, match=f"process {os.getpid()} on "):
        await cs.arun(one(), state=file_url, run_id="r")
    assert await cs.arun(one(), state=file_url, run_id="s") == 1
    older.release()
    assert await cs.arun(one(), state=file_url, run_id="r") == 1


def test_the_holder_is_named_and_ends_with_its_process(tmp_path: Path) -> None:
    """Another process that holds a lock is named by it; when it is killed, nobody holds the lock."""
    path = tmp_path / "runs.db"
    script = f"""
from pathlib import Path
from cascade.adapters.state.sqlite.sqlite_journal import run_lease
leases = [run_lease(Path({str(path)!r}), name) for name in "ab"]
assert [each.take() for each in leases] == [None, None]
print("held", flush=True)
input()
"""
    held = run_lease(path, "mine")
    assert held.take() is None
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for name in "ab":
            assert run_lease(path, name).holder().startswith(f"process {other.pid} on ")
            assert (run_lease(path, name).take() or "").startswith(f"process {other.pid} on ")
        assert run_lease(path, "mine").holder().startswith(f"process {os.getpid()} on ")
        assert run_lease(path, "mine").take()  # a second lease of the same process
        assert not run_lease(path, "nobody's").holder()
        other.kill()
    again = run_lease(path, "a")
    assert again.take() is None
    held.release()
    assert lock_path(path, "a").exists()
    again.release()
    assert not lock_path(path, "a").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_holds_none_of_its_parents_locks(tmp_path: Path) -> None:
    """It may outlive the parent, and takes none of its locks along; nor does it take one from the parent."""
    path = tmp_path / "runs.db"
    held = run_lease(path, "r")
    assert held.take() is None
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        held.release()
        os.read(read, 1)  # until the parent has looked
        os._exit(0)
    try:
        assert run_lease(path, "r").take()
        held.release()
        assert run_lease(path, "r").take() is None
    finally:
        os.close(write)
        os.waitpid(child, 0)
        os.close(read)


def test_locks_exclude_while_their_file_comes_and_goes(tmp_path: Path) -> None:
    """Threads and processes that take and release the same locks at once: each is held by one, and the file goes."""
    path = tmp_path / "runs.db"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=contend, args=(path, tmp_path, 400)) for _ in range(2)]
    for each in processes:
        each.start()
    problems: list[BaseException] = []

    def contending() -> None:
        try:
            contend(path, tmp_path, 400)
        except BaseException as problem:  # noqa: BLE001 - raised in the test
            problems.append(problem)

    threads = [threading.Thread(target=contending) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in processes:
        each.join()
    assert not problems
    assert [each.exitcode for each in processes] == [0, 0]
    last = run_lease(path, "a")
    assert last.take() is None
    last.release()
    assert not lock_path(path, "a").exists()
