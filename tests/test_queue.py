"""Runs that come from a queue: Procrastinate, in the PostgreSQL server that has the runs. A job carries a run's id."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import procrastinate
import pytest

import cascade as cs
from cascade.adapters.state import PostgresStates
from cascade.runtime import Engine
from cascade.spec import RunActiveError

HERE = Path(__file__).parent
LEASE_SECONDS = 1.0
CALLS: list[str] = []
GATES: list[asyncio.Event] = []


@cs.task
def first(name: str) -> str:
    CALLS.append("first")
    return name


@cs.task
async def wait(name: str) -> str:
    CALLS.append("wait")
    if GATES:
        await GATES[0].wait()
    if Path("trouble").exists():
        raise ConnectionError("no way")
    return name


def workflow() -> Any:
    return wait(first(cs.Param("name")))


Raised = list[type[BaseException]]


def queue(url: str, engine: Engine, raised: Raised, retry: Any = False) -> tuple[procrastinate.App, Any]:
    """Return a queue, and its task that drives runs; it notes what a run raises."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="drive", retry=retry)
    async def drive(run_id: str) -> None:
        try:
            await engine.run(workflow, params={"name": run_id}, run_id=run_id)
        except Exception as error:
            raised.append(type(error))
            raise

    return app, drive


async def work(app: procrastinate.App) -> None:
    """Do all jobs that are there."""
    await app.run_worker_async(concurrency=10, wait=False, install_signal_handlers=False, delete_jobs="never")


async def statuses(app: procrastinate.App) -> list[str]:
    return sorted(str(job.status) for job in await app.job_manager.list_jobs_async())


@pytest.fixture(autouse=True)
def afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CALLS.clear()
    GATES.clear()
    monkeypatch.chdir(tmp_path)


def states(url: str) -> PostgresStates:
    made = PostgresStates(url, lease_seconds=LEASE_SECONDS)
    made.keep_open()
    return made


async def test_a_job_that_is_delivered_twice_at_the_same_time_drives_one_run(postgres_url: str) -> None:
    """Of two workers that are given the same run one drives it, and the other one is told that it is being driven."""
    raised: Raised = []
    GATES.append(asyncio.Event())
    one, two = states(postgres_url), states(postgres_url)
    async with Engine(state=one) as driving, Engine(state=two) as refused:
        app, drive = queue(postgres_url, driving, raised)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await drive.defer_async(run_id="r")
            working = asyncio.create_task(work(app))
            while "wait" not in CALLS:  # noqa: ASYNC110 - the queue tells nobody
                await asyncio.sleep(0.01)
            other, drive_too = queue(postgres_url, refused, raised)
            async with other.open_async():
                await drive_too.defer_async(run_id="r")
                await work(other)
                assert raised == [RunActiveError]
                GATES[0].set()
                await working
                await drive_too.defer_async(run_id="r")  # it has ended by now
                await work(other)
            assert await statuses(app) == ["failed", "succeeded", "succeeded"]
    assert CALLS == ["first", "wait"]
    for each in (one, two):
        await each.close()


async def test_the_retry_of_a_job_goes_on_with_its_run(postgres_url: str) -> None:
    """A job whose run has failed is tried again by the queue: the call that failed is made again, and no other."""
    raised: Raised = []
    Path("trouble").touch()
    async with Engine(state=postgres_url) as engine:
        app, drive = queue(postgres_url, engine, raised, retry=procrastinate.RetryStrategy(max_attempts=3))
        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await drive.defer_async(run_id="r")
            await work(app)
            assert raised
            assert {*raised} == {ConnectionError}
            Path("trouble").unlink()
            await drive.defer_async(run_id="r")  # in case the queue has made all its attempts
            await work(app)
    assert ["first", *["wait"] * (len(raised) + 1)] == CALLS


WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
import procrastinate
import cascade as cs
from cascade.adapters.state import PostgresStates
from cascade.runtime import Engine

URL = sys.argv[1]
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=URL))
engine = Engine(state=PostgresStates(URL, lease_seconds=1.0))

def note(word):
    with open("calls", "a") as file:
        file.write(word + "\\n")

@cs.task
def first(name):
    note("first")
    return name

@cs.task
def second(name):
    note("second")
    if not Path("calm").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return name

def workflow():
    return second(first(cs.Param("name")))

@app.task(name="drive")
async def drive(run_id):
    await engine.run(workflow, params={"name": run_id}, run_id=run_id)

async def main():
    async with app.open_async(), engine:
        if sys.argv[2] == "begin":
            await app.schema_manager.apply_schema_async()
            await drive.defer_async(run_id="r")
        while sys.argv[2] == "rescue":
            stalled = [*await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=0.5)]
            for job in stalled:
                await app.job_manager.retry_job(job)
            if stalled:
                break
            await asyncio.sleep(0.1)
        await app.run_worker_async(wait=False, install_signal_handlers=False, update_heartbeat_interval=0.1)
        print([str(job.status) for job in await app.job_manager.list_jobs_async()])

if __name__ == "__main__":
    asyncio.run(main())
"""


def test_the_job_of_a_worker_that_was_killed_goes_on_with_its_run(postgres_url: str) -> None:
    """A worker of the queue is killed amid a call; the one that gets its job makes that call again, and no other."""
    Path("worker.py").write_text(WORKER)

    def start(how: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "worker.py", postgres_url, how]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    assert start("begin").returncode == -signal.SIGKILL
    Path("calm").touch()
    done = start("rescue")
    assert (done.returncode, done.stdout) == (0, "['succeeded']\n"), done.stderr
    assert Path("calls").read_text().split() == ["first", "second", "second"]
