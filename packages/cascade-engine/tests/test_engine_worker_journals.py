"""Journals of workers: what is left of one that has gone, seen by other processes of its machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cascade.adapters.executors.remote_calls import worker_journal
from cascade.adapters.executors.remote_calls.call_reports import report_from
from cascade.adapters.executors.remote_calls.worker_journal import NAME_SIZE, find_remains

_WORKER = """
import os, signal, sys
from pathlib import Path
from cascade.adapters.executors.remote_calls import worker_journal
from cascade.adapters.executors.remote_calls.call_reports import ToldEnd
from cascade.adapters.executors.worker_processes.messages import ReplyKind

worker_journal._FOLDER = Path(sys.argv[1])
journal = worker_journal.WorkerJournal()
journal.begin_request(b"r" * worker_journal.NAME_SIZE)
journal.add(ToldEnd(0, ReplyKind.DONE, 0.0, 0.0, b"first"))
child = os.fork()  # a call may start processes that outlive the worker
if not child:
    signal.pause()
print(child, flush=True)
sys.stdin.readline()
journal.add(ToldEnd(1, ReplyKind.DONE, 0.0, 0.0, b"second"))
os._exit(1)
"""

_REQUEST = b"r" * NAME_SIZE


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of journals, so that those of other tests are let alone."""
    monkeypatch.setattr(worker_journal, "_FOLDER", tmp_path)
    return tmp_path


@contextmanager
def _worker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a process with a journal, which ends with the block; a child of it goes on until then."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        yield process
    finally:
        _end(process)
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    if not process.stdin.closed:
        process.stdin.close()
    process.wait()


def test_a_worker_that_lives_is_waited_for(folder: Path) -> None:
    """Who asks for what it has left gets all that it has noted until its end, or until nobody waits any longer."""
    with _worker(folder) as worker:
        early = find_remains(_REQUEST, seconds=0.0)
        assert early is not None
        assert early.under_way == 1
        _end(worker)
        late = find_remains(_REQUEST)
        assert late is not None
        assert [end.body for end in report_from(late.report).ends] == [b"first", b"second"]
        assert find_remains(_REQUEST) is None


def test_the_journal_of_a_worker_that_lives_is_kept_whatever_its_process_number(folder: Path) -> None:
    """In another container the number means another process, or none: only the lock of the journal counts."""
    with _worker(folder) as worker:
        (journal,) = folder.glob("cascade-journal-*")
        hidden = journal.rename(folder / f"cascade-journal-999999999-{'0' * 32}")
        with _worker(folder):  # it looks what others have left
            pass
        assert hidden.exists()
        _end(worker)
        with _worker(folder):
            os.utime(hidden, (time.time() - worker_journal.KEPT_SECONDS - 1, hidden.stat().st_mtime))
        with _worker(folder):
            assert not hidden.exists()


def test_what_nobody_asks_for_is_removed_after_a_minute(folder: Path) -> None:
    """Until then the journal of a worker that has gone is there for those who ask for it."""
    with _worker(folder):
        pass
    (left,) = folder.glob("cascade-journal-*")
    for seconds in (0, 55, 61):
        with _worker(folder):
            assert left.exists()
        os.utime(left, (time.time() - seconds, left.stat().st_mtime))
    with _worker(folder):
        assert not left.exists()
