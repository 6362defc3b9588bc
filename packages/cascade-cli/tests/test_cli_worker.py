"""`cascade worker`: a process that goes on with runs that were interrupted, and what it tells."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support import recovering
from support.commands import Call, Write
from support.recovering import (
    DEADLY,
    HELD,
    deadly_flow,
    env_flow,
    interrupted,
    ledger,
    order_flow,
    pool_flow,
    secret_flow,
)

from cascade.adapters.state import RunSummary
from cascade.adapters.store_urls import catalog_from_url
from cascade.runtime import Engine
from cascade.spec.durable import RunStatus

MODULE = "support.recovering"


@pytest.fixture(autouse=True)
def ledger_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the calls of a test a ledger of their own."""
    monkeypatch.setenv(recovering.LEDGER, str(tmp_path / "ledger"))
    monkeypatch.delenv(HELD, raising=False)


def begin(url: str, workflow: Any, run_id: str, **settings: Any) -> None:
    asyncio.run(interrupted(url, workflow, run_id, **settings))


def found(url: str, run_id: str) -> RunSummary:
    with closing(catalog_from_url(url)) as catalog:
        return catalog.find(run_id)


def test_a_worker_goes_on_with_runs(file_url: str, cascade: Call) -> None:
    """`--once` goes on with all runs that were interrupted, tells what became of each, and ends."""
    begin(file_url, order_flow, "a")
    begin(file_url, order_flow, "b")
    outcome = cascade("worker", MODULE, "--state", file_url, "--once", "--concurrency", "1")
    assert outcome.code == 0
    lines = [line.partition(" ")[2] for line in outcome.err.splitlines()]
    assert lines == [
        f"info    the worker looks once for runs in {file_url}",
        "info    the run went on and succeeded  (run a)",
        "info    the run went on and succeeded  (run b)",
        "info    the worker has ended",
    ]
    assert ledger() == ["a/one", "b/one", "a/two", "b/two"]


def die_in(url: str, *words: str) -> int:
    """Let a worker of its own look once; return its exit code."""
    command = [sys.executable, "-m", "cascade.cli", "worker", MODULE, "--state", url, "--once", *words]
    paths = os.pathsep.join(path for path in sys.path if path)
    return subprocess.run(
        command, env={**os.environ, "PYTHONPATH": paths}, stderr=subprocess.DEVNULL, check=False
    ).returncode


def test_a_run_that_kills_its_workers_is_left_alone(
    file_url: str, cascade: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After two interrupted takes without progress workers leave a run alone, and all say so, until it is resumed."""
    monkeypatch.setenv("COLUMNS", "200")
    begin(file_url, deadly_flow, "a")
    monkeypatch.setenv(DEADLY, "always")
    words = ("--abandon-after", "2")
    # The first of the three records that the run is held up no more.
    assert [die_in(file_url, *words) for _ in range(3)] == [-signal.SIGKILL] * 3
    outcome = cascade("worker", MODULE, "--state", file_url, "--once", *words)
    assert outcome.code == 0
    told = (
        "the run is left alone: RunAbandonedError: run 'a' was taken over 2 times and interrupted each time"
    )
    assert f"error   {told}" in outcome.err
    assert "cascade runs resume" in outcome.err
    assert found(file_url, "a").status is RunStatus.ABANDONED
    again = cascade("worker", MODULE, "--state", file_url, "--once", *words)
    assert "left alone" not in again.err
    assert ledger() == ["a/one", *["dies:a/a"] * 3]
    listed = cascade("runs", "list", "--state", file_url, "--status", "abandoned")
    assert " abandoned " in listed.out
    shown = cascade("runs", "show", "a", "--state", file_url)
    assert "then `cascade runs resume` goes on" in shown.out
    monkeypatch.delenv(DEADLY)
    resumed = cascade("runs", "resume", "a", f"{MODULE}:deadly_flow", "--order", "a", "--state", file_url)
    assert resumed.code == 0, resumed.err
    assert found(file_url, "a").status is RunStatus.SUCCEEDED


def test_it_is_shown_which_inputs_a_run_keeps(
    file_url: str, cascade: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runs show` names the inputs that a run keeps, and those that have to be given; also of a run that keeps none."""
    monkeypatch.setenv("TEST_REGION", "north")
    monkeypatch.setenv("TEST_PORT", "80")
    begin(file_url, secret_flow, "secret", params={"token": "marmalade"})
    begin(file_url, env_flow, "env")
    begin(file_url, order_flow, "bare", keep_inputs=False)
    asyncio.run(done(file_url))
    told = {
        run: [
            " ".join(line.split())
            for line in cascade("runs", "show", run, "--state", file_url).out.splitlines()
        ]
        for run in ("secret", "env", "bare", "done")
    }
    assert "inputs kept: order" in told["secret"]
    assert "needs token" in told["secret"]
    assert "needs TEST_REGION" in told["env"]
    assert "inputs not kept: only `cascade runs resume` goes on with it" in told["bare"]
    assert "needs order" in told["bare"]
    assert not [line for line in told["done"] if line.startswith(("inputs", "needs"))]
    shown = json.loads(cascade("runs", "show", "secret", "--state", file_url, "--format", "json").out)
    assert shown["inputs"] == {"are_kept": True, "kept": ["order"], "missing": ["token"]}


async def done(url: str) -> None:
    async with Engine(state=url) as engine:
        await engine.run(order_flow, params={"order": "done"}, run_id="done", keep_inputs=True)


def test_a_run_that_gets_on_is_never_left_alone(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that kills each worker goes on for as long as each of them has recorded something new."""
    begin(file_url, deadly_flow, "a")
    monkeypatch.setenv(DEADLY, "once")
    codes = [die_in(file_url, "--abandon-after", "2") for _ in range(4)]
    assert codes == [-signal.SIGKILL] * 3 + [0]
    assert found(file_url, "a").status is RunStatus.SUCCEEDED


def test_lines_of_json(file_url: str, cascade: Call) -> None:
    """With `--log-format json` each line is an object with its event."""
    begin(file_url, order_flow, "a")
    outcome = cascade("worker", MODULE, "--state", file_url, "--once", "--log-format", "json")
    told = [json.loads(line) for line in outcome.err.splitlines()]
    assert [each["event"] for each in told] == ["WorkerStarted", "RunRecovered", "WorkerEnded"]
    assert {**told[1], "time": ""} == {
        "time": "",
        "level": "info",
        "event": "RunRecovered",
        "run_id": "a",
        "outcome": "succeeded",
        "error": None,
    }


def test_a_run_that_waits_is_shown(
    file_url: str, cascade: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose secret is missing waits for it by name in all that shows runs, and goes on with its file."""
    monkeypatch.setenv("COLUMNS", "200")
    begin(file_url, secret_flow, "a", params={"token": "marmalade"})
    mounted = tmp_path / "mounted"
    mounted.mkdir()
    words = ("worker", MODULE, "--state", file_url, "--once", "--secrets-dir", str(mounted))
    outcome = cascade(*words)
    assert outcome.code == 0
    assert "the run waits: MissingSecretError: Secret('token', type=str)" in outcome.err
    state = ("--state", file_url)
    assert "waiting for secret 'token'" in cascade("runs", "list", *state).out
    assert "status   waiting for secret 'token'" in cascade("runs", "show", "a", *state).out
    (told,) = json.loads(cascade("runs", "list", *state, "--format", "json", "--status", "waiting").out)
    assert (told["status"], told["waits_for"]) == ("waiting", "secret 'token'")
    (mounted / "token").write_text("tangerine\n")
    assert "the run went on and succeeded" in cascade(*words).err
    assert "waiting" not in cascade("runs", "show", "a", *state).out


def test_a_run_waits_no_more_when_its_secret_is_there(
    file_url: str, cascade: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status is what the last worker found: one that had the secret, and could not go on for another reason."""
    begin(file_url, pool_flow, "a", params={"token": "marmalade"}, executors={"pool": "inline"})
    state = ("--state", file_url)
    words = ("worker", MODULE, *state, "--once")

    def told() -> tuple[str, str]:
        shown = json.loads(cascade("runs", "show", "a", *state, "--format", "json").out)
        return shown["status"], shown["waits_for"]

    assert "the run waits: MissingSecretError" in cascade(*words).err
    assert told() == ("waiting", "secret 'token'")
    monkeypatch.setenv("CASCADE_SECRET_TOKEN", "tangerine")
    outcome = cascade(*words)
    assert "the run can't go on here: UnknownExecutorError" in outcome.err
    assert told() == ("interrupted", "")
    before = found(file_url, "a")
    assert "the run can't go on here: UnknownExecutorError" in cascade(*words).err
    assert found(file_url, "a") == before  # nothing new was found
    monkeypatch.delenv("CASCADE_SECRET_TOKEN")
    assert "the run waits: MissingSecretError" in cascade(*words).err
    assert told() == ("waiting", "secret 'token'")
    monkeypatch.setenv("CASCADE_SECRET_TOKEN", "tangerine")
    assert "the run went on and succeeded" in cascade(*words, "--executors", "pool=threads").err


def test_a_run_that_fails_is_told(file_url: str, cascade: Call) -> None:
    """A run that fails is told with its error, and does not end the worker."""
    begin(file_url, recovering.failing_flow, "a")
    outcome = cascade("worker", MODULE, "--state", file_url, "--once")
    assert outcome.code == 0
    assert "error   the run went on and failed: ValueError: as it should  (run a)" in outcome.err


def test_a_run_of_another_module_is_told(
    file_url: str, cascade: Call, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose module is not named can't go on: the module is named, and nothing of the run changes."""
    begin(file_url, order_flow, "a")
    before = found(file_url, "a")
    other = write("other.py", "def workflow(): ...\n")
    monkeypatch.delitem(sys.modules, MODULE)
    outcome = cascade("worker", str(other), "--state", file_url, "--once")
    assert "the run can't go on here: WorkflowNotFoundError" in outcome.err
    assert f"the workflow of run 'a' is {MODULE}.order_flow" in outcome.told
    assert found(file_url, "a") == before


FLOW = """
import os

@cs.resource
def door():
    yield "open"

@cs.task
def enter(name, door=cs.inject("door")):
    if "DIES" in os.environ:
        os._exit(9)
    return f"{name}: {door}"

def workflow():
    return enter(cs.Param("name"))
"""


def test_a_run_of_a_command_goes_on(write: Write, cascade: Call) -> None:
    """`cascade run FILE --keep-inputs` begins what a worker of that file goes on with, with the resources beside it."""
    folder = write("flow.py", FLOW).parent
    url = f"sqlite:///{folder}/runs.db"
    command = [sys.executable, "-m", "cascade.cli", "run", "flow.py", "--name", "Ann", "--run-id", "r"]
    died = subprocess.run(
        [*command, "--state", url, "--keep-inputs"], cwd=folder, env={**os.environ, "DIES": "1"}, check=False
    )
    assert died.returncode == 9
    outcome = cascade("worker", str(folder / "flow.py"), "--state", url, "--once")
    assert "the run went on and succeeded" in outcome.err


def test_a_worker_has_the_executors_that_tasks_name(write: Write, cascade: Call) -> None:
    """A run with tasks that name an executor goes on in a worker that is told where that is."""
    folder = write("flow.py", FLOW.replace("@cs.task", '@cs.task(on="desk")')).parent
    url = f"sqlite:///{folder}/runs.db"
    command = [sys.executable, "-m", "cascade.cli", "run", "flow.py", "--name", "Ann", "--run-id", "r"]
    died = subprocess.run(
        [*command, "--state", url, "--keep-inputs", "--executors", "desk=inline"],
        cwd=folder,
        env={**os.environ, "DIES": "1"},
        check=False,
    )
    assert died.returncode == 9
    words = ("worker", str(folder / "flow.py"), "--state", url, "--once")
    assert "to run on 'desk', which is not an executor" in cascade(*words).err
    assert "the run went on and succeeded" in cascade(*words, "--executors", "desk=inline").err


def test_a_ready_lazy_result_keeps_no_inputs(write: Write, cascade: Call) -> None:
    """A file whose workflow is a ready lazy result can't be begun with `--keep-inputs`: the command was asked wrong."""
    file = write("ready.py", FLOW.replace("def workflow():\n    return", "workflow ="))
    words = ("--name", "Ann", "--state", f"sqlite:///{file.parent}/runs.db", "--keep-inputs")
    outcome = cascade("run", str(file), *words)
    assert outcome.code == 2
    assert "keep_inputs=True can't keep a target of type LazyResult" in outcome.told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((MODULE,), "a worker without a store; give its URL, --state sqlite:///runs.db"),
        (("--state", "sqlite:///runs.db"), "Missing argument"),
        ((MODULE, "--state", "sqlite:///runs.db", "--once", "--poll", "3"), "both --once and --poll"),
        ((MODULE, "--state", "sqlite:///runs.db", "--poll", "0"), "poll=0.0"),
        ((MODULE, "--state", "sqlite:///runs.db", "--secrets-dir", "nowhere"), "secrets_dir='nowhere'"),
        (("nowhere.py", "--state", "sqlite:///runs.db"), "there is no file nowhere.py"),
        ((MODULE, "--state", "mysql://x"), "is not the URL of a known store"),
        ((MODULE, "--state", "sqlite:///runs.db", "--executor", "clouds"), "executor"),
        ((MODULE, "--state", "sqlite:///runs.db", "--executors", "pool"), "names with their executors"),
    ],
)
def test_what_makes_no_sense_is_refused(
    words: tuple[str, ...], told: str, cascade: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that can't work says why, with exit code 2, and makes no store."""
    monkeypatch.chdir(tmp_path)
    outcome = cascade("worker", *words)
    assert outcome.code == 2
    assert told in outcome.told
    assert not (tmp_path / "runs.db").exists()


@contextmanager
def worker(url: str) -> Iterator[subprocess.Popen[str]]:
    """Begin a worker in a process of its own; it is there when it looks for runs."""
    command = [sys.executable, "-m", "cascade.cli", "worker", MODULE, "--state", url, "--poll", "0.05"]
    tests = str(Path(recovering.__file__).parents[1])
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": tests}
    ) as process:
        try:
            assert process.stderr is not None
            assert "the worker looks every 0.05 s" in process.stderr.readline()
            yield process
        finally:
            process.kill()


def until_driven(url: str, run_id: str) -> None:
    while not found(url, run_id).driver:
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_in_order(
    file_url: str, cascade: Call, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """The first signal lets go of runs under way, as interrupted: another worker can take them over at once."""
    begin(file_url, order_flow, "a")
    monkeypatch.setenv(HELD, "1")
    with worker(file_url) as process:
        until_driven(file_url, "a")
        process.send_signal(number)
        _, err = process.communicate()
        assert process.returncode == 0
    assert "to end (Ctrl-C again ends at once); other workers can go on with the runs" in err
    assert err.endswith("the worker has ended\n")
    assert found(file_url, "a").is_interrupted
    monkeypatch.delenv(HELD)
    assert "the run went on and succeeded" in cascade("worker", MODULE, "--state", file_url, "--once").err
    assert ledger() == ["a/one", "a/two"]


def test_a_second_signal_ends_a_worker_at_once(file_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that can't be ended is waited for; the second signal does not wait, and the run is interrupted."""
    begin(file_url, recovering.stuck_flow, "a")
    monkeypatch.setenv(recovering.STUCK, "1")
    with worker(file_url) as process:
        until_driven(file_url, "a")
        assert process.stderr is not None
        while "stuck" not in ledger():
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert "Terminated: waiting for 'stick'" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        assert process.returncode == 128 + signal.SIGTERM
    assert found(file_url, "a").is_interrupted
