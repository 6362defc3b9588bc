"""Timelines in stores: what a store keeps of a run, so that another process can show it, also when it is dead."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from support.stores import bytes_of, end_lease, is_in_server, path_of

import cascade as cs
from cascade.adapters.state.damage import checking
from cascade.adapters.state.journal import KEPT_DRIVES
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime.recorded_runs.recorded_run import RecordedRun
from cascade.runtime.timeline.run_timeline import RunTimeline
from cascade.spec.errors import RunDamagedError

SECRET = "c4n4ry"


@cs.task
def give(value: Any) -> Any:
    return value


@cs.task(mode="thread")
def give_in_thread(value: Any) -> Any:
    return value


@cs.task
async def later(value: Any) -> Any:
    await asyncio.sleep(0)
    return value


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


@cs.task
def down(number: int) -> Any:
    return down(number - 1) if number else 0


@cs.task
def is_large(value: int) -> bool:
    return value > 100


tries: list[int] = []


@cs.task
def unsteady() -> str:
    tries.append(1)
    if len(tries) % 2:
        raise OSError(SECRET)
    return "at last"


@cs.task
def fail(value: Any) -> Any:
    raise ValueError(f"{SECRET} {value}")


def everything() -> Any:
    """Return a target with all that a timeline knows: maps, loops, retries, skips, routes, threads and coroutines."""
    chosen: Any = cs.Router(selector=give("b"), routes={"a": give(1), "b": later(2)})
    return cs.gather(
        total([give(number) for number in range(20)]),
        total(give.map(value=range(30))),
        total(later.map(value=range(3))),
        down(5),
        unsteady().with_retry(max_attempts=1, delay=0.001),
        give(chosen),
        give(1).run_if(is_large(give(3)), otherwise=0),
        give_in_thread(4),
        give(later(give(later(1)))),
    )


@pytest.fixture
def url(every_url: str) -> str:
    return every_url


def stored(url: str, run_id: str) -> RecordedRun:
    with closing(catalog_from_url(url)) as catalog:
        (summary,) = [run for run in catalog.runs() if run.run_id == run_id]
        return RecordedRun.read(summary, catalog.timeline(run_id))


def report(url: str, run_id: str) -> str:
    with closing(catalog_from_url(url)) as catalog:
        return stored(url, run_id).report(catalog.facts(run_id))


def calls_of(run: RunTimeline) -> list[tuple[Any, ...]]:
    """Return the calls of a run in one order, times rounded, and of errors the types."""
    began = run.began
    return sorted(
        (
            call.place[:2],
            -1 if call.place.item is None else call.place.item,
            call.task,
            call.attempt,
            *(round(moment - began, 6) for moment in (call.queued, call.began, call.ended)),
            call.status,
            call.worker,
            call.is_map,
            call.error_type or "",
        )
        for call in run.calls()
    )


@pytest.mark.parametrize("timed", [True, False])
def test_a_store_knows_what_the_timeline_of_the_run_knows(url: str, timed: bool) -> None:
    """Calls with their times, attempts and workers, trees, skips, retries, sizes of maps and rounds are the same.

    So they are where the timeline of the run itself keeps no times.
    """
    timeline = cs.Timeline(timed=timed)
    cs.run(everything(), state=url, run_id="r", timeline=timeline)
    (own,), found = timeline.runs, stored(url, "r").timeline()
    if timed:
        assert calls_of(found) == calls_of(own)
        assert sorted(found.maps()) == sorted(own.maps())
        assert {*found.loops()} == {*own.loops()}
        assert [(tree.number, tree.call, tree.round, [*tree.names]) for tree in found.trees()] == [
            (tree.number, tree.call, tree.round, [*tree.names]) for tree in own.trees()
        ]
        assert [tree.structure.dependencies() for tree in found.trees()] == [
            tree.structure.dependencies() for tree in own.trees()
        ]
        assert {(skip.place, skip.task, skip.reason) for skip in found.skips()} == {
            (skip.place, skip.task, skip.reason) for skip in own.skips()
        }
        assert [(each.place, each.attempt, each.error_type) for each in found.retries()] == [
            (each.place, each.attempt, "OSError") for each in own.retries()
        ]
    else:
        assert found.retries()
        assert all(call.ended > 0 for call in found.calls())
    assert {
        task: (each.calls, each.known, each.retries, each.by_status, each.skips)
        for task, each in found.tasks().items()
    } == {
        task: (each.calls, each.known, each.retries, each.by_status, each.skips)
        for task, each in own.tasks().items()
    }


def test_the_progress_of_a_stored_run_is_that_of_the_run(url: str) -> None:
    """What `cascade run` would show at the end is what the store shows: calls, failures by type, retries, skips."""
    cs.run(everything(), state=url, run_id="r")
    progress = stored(url, "r").progress()
    assert progress.status == "Succeeded"
    tasks = {task.task: task for task in progress.tasks}
    assert (tasks["unsteady"].done, tasks["unsteady"].retried) == (1, 1)
    assert tasks["down"].done == 6
    assert tasks["give"].skipped > 0
    assert all(task.done == task.total and not task.running for task in progress.tasks)
    assert progress.last_failure is not None
    assert (progress.last_failure.error, progress.last_failure.retried) == ("OSError", True)
    assert progress.slowest[0].seconds >= progress.slowest[-1].seconds > 0


def test_values_and_texts_of_errors_are_in_no_timeline(url: str) -> None:
    """Of an error a store keeps the type and the place, of values and inputs nothing but names."""
    with pytest.raises(ExceptionGroup):
        cs.run(
            [fail(cs.Param("word")), give(2), unsteady().with_retry(max_attempts=2)],
            params={"word": SECRET},
            state=url,
            run_id="r",
            on_failure="finish",
        )
    assert SECRET.encode() not in bytes_of(url)
    found = stored(url, "r")
    assert SECRET not in report(url, "r")
    assert found.timeline().inputs == ("word",)
    (failed,) = [call for call in found.timeline().calls() if call.status == "Failed"]
    assert (failed.error, failed.where, failed.notes) == ("ValueError", "root.args.0[0]", ())
    progress = found.progress()
    assert progress.error == "ExceptionGroup"


DIES = """
import os, signal, sys, time
from pathlib import Path
import cascade as cs

@cs.task(version="1")
def quick(number):
    return number

@cs.task(version="1")
def wait(numbers):
    Path(sys.argv[2]).touch()
    time.sleep(60)

@cs.task(version="1", mode="thread")
def slow(numbers):
    Path(sys.argv[2]).touch()
    time.sleep(60)

kind = {"wait": wait, "slow": slow}[sys.argv[3]]
cs.run(kind([quick(number) for number in range(50)]), state=sys.argv[1], run_id="dead")
"""


def killed(url: str, folder: Path, kind: str, after: Callable[[], bool]) -> None:
    """Run a program that waits for a minute, and kill it once something is so."""
    sign = folder / "begun"
    process = subprocess.Popen([sys.executable, "-c", DIES, url, str(sign), kind])
    try:
        ends = time.monotonic() + 60
        while not (sign.exists() and after()) and time.monotonic() < ends:
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_dead_run_is_shown_as_far_as_it_was_written(url: str, tmp_path: Path) -> None:
    """Of a run whose process was killed the store has the calls that had ended, and those that were under way."""
    killed(url, tmp_path, "slow", lambda: bool(stored(url, "dead").drives) and _is_waiting(url))
    if is_in_server(url):
        end_lease(url, "dead")
    found = stored(url, "dead")
    assert found.summary.is_interrupted
    run = found.timeline()
    assert (run.status, run.ended) == (None, None)
    assert sorted(call.task for call in run.calls()) == ["quick"] * 50
    assert [call.task for call in run.running()] == ["slow"]
    progress = found.progress()
    assert {task.task: (task.done, task.total, task.running) for task in progress.tasks} == {
        "quick": (50, 50, 0),
        "slow": (0, 1, 1),
    }
    page = report(url, "dead")
    assert "<dd>interrupted</dd>" in page
    assert "1 calls were under way" in page


def _is_waiting(url: str) -> bool:
    return any(task.running for task in stored(url, "dead").progress().tasks)


def test_what_ended_after_the_last_times_is_told(file_url: str, tmp_path: Path) -> None:
    """Facts that came after the timeline was written last are counted in a report, and have no times."""
    cs.run(give(later(1)), state=file_url, run_id="r")
    with closing(sqlite3.connect(path_of(file_url))) as file, file:
        file.execute("UPDATE facts SET at = at + 1")
    page = report(file_url, "r")
    assert "2 calls ended after the times were written for the last time" in page
    assert "their times are not known" in page
    assert '<td class="text">give</td><td class="number">2</td>' in page


def test_a_run_without_a_timeline_has_a_report(file_url: str) -> None:
    """A run that an older version recorded has a report of its facts, which says that no times are known."""
    cs.run(give(later(1)), state=file_url, run_id="r")
    with closing(sqlite3.connect(path_of(file_url))) as file, file:
        file.execute("DELETE FROM timelines")
    found = stored(file_url, "r")
    assert found.drives == []
    assert found.progress().tasks == ()
    page = report(file_url, "r")
    assert "The store has no times and no graph of this run" in page
    assert '<td class="text">later</td><td class="number">1</td>' in page
    assert "<h2>Timeline</h2>" not in page


def test_each_drive_of_a_run_has_its_timeline(url: str) -> None:
    """A run that goes on adds the calls that it makes to those of before; what is read from the record is no call."""
    fails = [True]

    @cs.task(version="1")
    def sometimes(value: int) -> int:
        if fails:
            raise LookupError
        return value

    def target() -> Any:
        return give(sometimes(give(1)))

    with pytest.raises(LookupError):
        cs.run(target(), state=url, run_id="r")
    fails.clear()
    cs.run(target(), state=url, run_id="r")
    found = stored(url, "r")
    run = found.timeline()
    assert len(found.drives) == 2
    assert [(call.task, call.status) for call in run.calls()] == [
        ("give", "Succeeded"),
        ("sometimes", "Failed"),
        ("sometimes", "Succeeded"),
        ("give", "Succeeded"),
    ]
    moments = [call.began for call in run.calls()]
    assert moments == sorted(moments)
    assert [(skip.task, skip.reason) for skip in run.skips()] == [
        ("give", "RunStopped"),
        ("give", "Recovered"),
    ]
    figures = run.tasks()["give"]
    assert (figures.calls, figures.known) == (2, 2)
    assert {task.task: (task.done, task.total, task.cached) for task in found.progress().tasks} == {
        "give": (2, 2, 1),
        "sometimes": (1, 1, 0),
    }
    page = report(url, "r")
    assert "by 2 processes, one after another" in page


def test_only_the_last_drives_are_kept(url: str) -> None:
    """A run that fails again and again does not fill its store with timelines."""
    for _ in range(KEPT_DRIVES + 3):
        with pytest.raises(ValueError, match=SECRET):
            cs.run(fail(give(1)), state=url, run_id="r")
    assert len(stored(url, "r").drives) == KEPT_DRIVES


def test_a_run_that_begins_anew_has_no_earlier_timeline(url: str) -> None:
    """With `restart=True`, and after a run was deleted, nothing of its timeline is left."""
    cs.run(everything(), state=url, run_id="r")
    cs.run(give(1), state=url, run_id="r", restart=True)
    found = stored(url, "r")
    assert len(found.drives) == 1
    assert [call.task for call in found.timeline().calls()] == ["give"]
    with closing(catalog_from_url(url)) as catalog:
        catalog.delete("r")
    cs.run(later(1), state=url, run_id="r")
    assert [call.task for call in stored(url, "r").timeline().calls()] == ["later"]


def test_a_damaged_timeline_is_an_error_of_its_own(file_url: str) -> None:
    """Bytes that are no timeline, and numbers that fit nothing, are damage and nothing else."""
    cs.run(everything(), state=file_url, run_id="r")
    with closing(sqlite3.connect(path_of(file_url))) as file:
        rows = file.execute("SELECT number, data FROM timelines").fetchall()
    for number, data in rows:
        for begin in range(0, len(data), 7):
            changed = bytes([*data[:begin], data[begin] ^ 0x41, *data[begin + 1 :]])
            with closing(sqlite3.connect(path_of(file_url))) as file, file:
                file.execute("UPDATE timelines SET data = ? WHERE number = ?", (changed, number))
            with suppress(RunDamagedError), checking("it", "r"):
                found = stored(file_url, "r")
                found.progress()
                report(file_url, "r")
        with closing(sqlite3.connect(path_of(file_url))) as file, file:
            file.execute("UPDATE timelines SET data = ? WHERE number = ?", (data, number))


def test_the_bytes_of_a_long_timeline_are_bounded(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that have no room in the store are counted in the figures all the same, and the report says how many."""
    monkeypatch.setattr("cascade.runtime.timeline.storing.timeline_saving.MOST_BYTES", 4_000)
    cs.run(total(give.map(value=range(2_000))), state=file_url, run_id="r")
    found = stored(file_url, "r")
    assert found.timeline().tasks()["give"].calls == 2_000
    assert found.timeline().folded > 1_000
    assert "calls are folded" in report(file_url, "r")
