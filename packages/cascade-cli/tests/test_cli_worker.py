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
from support.recovering import HELD, interrupted, ledger, order_flow, secret_flow

from cascade.adapters.state import RunSummary
from cascade.adapters.store_urls import catalog_from_url

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
