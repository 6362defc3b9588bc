"""`cascade runs`: recorded runs are listed, shown, resumed and deleted from the command line."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.commands import Call, Write

from cascade.adapters.state.recorded.deletion import delete_run
from cascade.adapters.state.sqlite.sqlite_catalog import SqliteCatalog
from cascade.adapters.values import FileValueStore

STATE = ("--state", "sqlite:///runs.db")

TRIP = """
import os
from pathlib import Path

def note(word):
    with Path("calls.txt").open("a") as file:
        file.write(word + "\\n")

@cs.task
def pack(city):
    note("pack")
    return {"for": city}

@cs.task
def travel(bag, speed):
    note("travel")
    if Path("storm").exists():
        raise ConnectionError("no train in a storm")
    if Path("quake").exists():
        os._exit(9)
    return f"{bag['for']} at {speed}"

def workflow():
    return travel(pack(cs.Param("city")), cs.Param("speed", 3))
"""


@pytest.fixture
def trip(write: Write) -> Path:
    return write("trip.py", TRIP).parent


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders: `storm` has a run `t1` that failed in its second task, `quake` also `t2`, which was cut off there.

    What they failed of is gone from the folders.
    """
    folder = tmp_path_factory.mktemp("recorded")
    storm, quake = folder / "storm", folder / "quake"
    storm.mkdir()
    (storm / "trip.py").write_text("import cascade as cs\n" + TRIP)
    (storm / "storm").touch()
    assert shell("run", "trip.py", "--city", "Oslo", *STATE, "--run-id", "t1", cwd=storm).returncode == 1
    (storm / "storm").unlink()
    shutil.copytree(storm, quake)
    (quake / "quake").touch()
    assert shell("run", "trip.py", "--city", "Rome", *STATE, "--run-id", "t2", cwd=quake).returncode == 9
    (quake / "quake").unlink()
    return folder


@pytest.fixture
def storm(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(recorded / "storm", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quake(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(recorded / "quake", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cascade.cli", *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def calls() -> list[str]:
    return Path("calls.txt").read_text().split()


def test_list_has_a_line_for_each_run(cascade: Call, quake: Path) -> None:
    """`runs list` tells id, status, task and sizes, the last updated first; what was cut off is `interrupted`."""
    outcome = cascade("runs", "list", *STATE)
    assert (outcome.code, outcome.err) == (0, "")
    head, second, first = outcome.out.splitlines()
    assert head.split() == ["RUN", "STATUS", "TASK", "ROUND", "BEGAN", "UPDATED", "FACTS", "SIZE", "BY"]
    assert second.split()[:4] == ["t2", "interrupted", "travel", "0"]
    assert first.split()[:4] == ["t1", "failed", "travel", "0"]
    assert first.endswith(" B")


def test_times_are_local_and_have_a_zone(cascade: Call, storm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are those of the place where the command runs, and say which zone that is."""
    monkeypatch.setenv("TZ", "NST-5:45")
    time.tzset()
    try:
        line = cascade("runs", "list", *STATE).out.splitlines()[1]
    finally:
        monkeypatch.undo()
        time.tzset()
    day, hour, zone = line.split()[4:7]
    told = datetime.strptime(f"{day} {hour} +0545", "%Y-%m-%d %H:%M:%S %z")
    assert zone == "NST"
    assert abs((datetime.now(UTC) - told).total_seconds()) < 600


def test_list_and_show_are_data_with_format_json(cascade: Call, quake: Path) -> None:
    """`--format json` gives all that is known, with times in UTC."""
    listed = json.loads(cascade("runs", "list", *STATE, "--format", "json").out)
    assert [(each["run_id"], each["status"], each["error"]) for each in listed] == [
        ("t2", "interrupted", ""),
        ("t1", "failed", "ConnectionError"),
    ]
    assert datetime.fromisoformat(listed[0]["began"]).tzinfo is UTC
    shown = json.loads(cascade("runs", "show", "t1", *STATE, "--format", "json").out)
    assert {key: shown[key] for key in listed[1]} == listed[1]
    (fact,) = shown["recorded"]
    assert (fact["task"], fact["place"], fact["kind"], fact["round"]) == ("pack", "root.args.0", "result", 0)


def test_show_tells_of_a_run_and_its_facts(cascade: Call, storm: Path) -> None:
    """`runs show` has a line for each property that there is, and one for each recorded fact."""
    outcome = cascade("runs", "show", "t1", *STATE)
    assert (outcome.code, outcome.err) == (0, "")
    properties, _, facts = outcome.out.split("\n\n")
    told = dict(line.split(None, 1) for line in properties.splitlines())
    assert (told["run"], told["status"], told["task"]) == ("t1", "failed", "travel")
    assert (told["error"], told["facts"]) == ("ConnectionError", "1")
    assert "driven" not in told
    assert facts.splitlines()[1].split()[:4] == ["0", "pack", "root.args.0", "result"]


def test_looking_needs_no_workflow_and_no_readable_value(cascade: Call, storm: Path) -> None:
    """Without the workflow's file, and with values that nobody can decode, a store is listed and shown."""
    (storm / "trip.py").unlink()
    shutil.rmtree(storm / "__pycache__", ignore_errors=True)
    connection = sqlite3.connect("runs.db")
    with connection:
        connection.execute("UPDATE facts SET value = x'c1c1'")
    connection.close()
    assert "t1" in cascade("runs", "list", *STATE).out
    assert "pack" in cascade("runs", "show", "t1", *STATE).out
    assert "trip" not in sys.modules


def test_what_a_terminal_would_obey_is_spelt_out(cascade: Call, storm: Path) -> None:
    """Names in a store are shown as text, whatever characters are in them."""
    connection = sqlite3.connect("runs.db")
    with connection:
        connection.execute("UPDATE runs SET run_id = ?, task = ?", ("a\x1b[2J\r\nb", "[red]漢字\u202e"))
    connection.close()
    outcome = cascade("runs", "list", *STATE)
    assert "a\\x1b[2J\\r\\nb" in outcome.out
    assert "[red]漢字\\u202e" in outcome.out
    assert len(outcome.out.splitlines()) == 2


def test_resume_goes_on_with_what_is_recorded(cascade: Call, storm: Path) -> None:
    """`runs resume` runs what had not finished, and prints the result; what is recorded is not run again."""
    outcome = cascade("runs", "resume", "t1", "trip.py", *STATE, "--city", "Oslo")
    assert (outcome.code, outcome.out, outcome.err) == (0, "Oslo at 3\n", "")
    assert calls() == ["pack", "travel", "travel"]
    assert cascade("runs", "list", *STATE).out.splitlines()[1].split()[1] == "succeeded"


def test_resume_takes_an_interrupted_run_over(cascade: Call, quake: Path) -> None:
    """A run whose process was killed goes on at once, with the options before its id as well."""
    outcome = cascade("runs", "resume", *STATE, "t2", "trip.py:workflow", "--city", "Rome")
    assert (outcome.code, outcome.out) == (0, "Rome at 3\n")
    assert calls() == ["pack", "travel", "pack", "travel", "travel"]


def test_a_finished_run_gives_its_value(cascade: Call, storm: Path) -> None:
    """To resume a run that has ended well prints its result once more; nothing runs."""
    for _ in range(2):
        assert cascade("runs", "resume", "t1", "trip.py", *STATE, "--city", "Oslo").out == "Oslo at 3\n"
    assert len(calls()) == 3


def test_resume_refuses_what_the_store_does_not_have(cascade: Call, storm: Path) -> None:
    """An unknown id is exit code 2 with what to do; nothing runs, and nothing is recorded."""
    outcome = cascade("runs", "resume", "t9", "trip.py", *STATE, "--city", "Oslo")
    assert (outcome.code, outcome.out) == (2, "")
    assert "has no run 't9'; `cascade runs list` shows those that it has" in outcome.err
    assert "cascade run FILE --state URL --run-id ID" in outcome.err
    assert len(calls()) == 2
    assert "t9" not in cascade("runs", "list", *STATE).out


def test_resume_needs_a_store(cascade: Call, storm: Path) -> None:
    """Without `--state`, or with one that is not there, `resume` is exit code 2, and makes no file."""
    outcome = cascade("runs", "resume", "t1", "trip.py", "--city", "Oslo")
    assert outcome.code == 2
    assert "--state" in outcome.err
    outcome = cascade("runs", "resume", "t1", "trip.py", "--state", "sqlite:///no.db", "--city", "Oslo")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert not (storm / "no.db").exists()


def test_resume_with_other_inputs_is_refused_unless_compatible(cascade: Call, storm: Path) -> None:
    """A run goes on as it began; `--resume compatible` keeps what the change does not touch."""
    outcome = cascade("runs", "resume", "t1", "trip.py", *STATE, "--city", "Oslo", "--speed", "9")
    assert (outcome.code, outcome.out) == (1, "")
    assert len(outcome.err.splitlines()) == 1
    assert "input 'speed' has another value" in outcome.err
    told = cascade(
        "runs", "resume", "t1", "trip.py", *STATE, "--city", "Oslo", "--speed", "9", "--resume", "compatible"
    )
    assert (told.code, told.out) == (0, "Oslo at 9\n")
    assert calls() == ["pack", "travel", "travel"]


def test_help_after_the_target_of_resume_is_the_workflows(cascade: Call, storm: Path) -> None:
    """`runs resume ID FILE --help` shows the workflow's options, and none for the id or a new beginning."""
    helped = cascade("runs", "resume", "t1", "trip.py", "--help").helped
    assert "--city" in helped
    assert "--state" in helped
    assert "--run-id" not in helped
    assert "--restart" not in helped


def test_delete_removes_a_run(cascade: Call, quake: Path) -> None:
    """`runs delete --yes` takes a run out of the store; others stay."""
    outcome = cascade("runs", "delete", "t1", *STATE, "--yes")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    listed = cascade("runs", "list", *STATE).out
    assert "t1" not in listed
    assert "t2" in listed
    assert b"ConnectionError" not in (quake / "runs.db").read_bytes()


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("", 1, 1)])
def test_delete_asks_first(storm: Path, answer: str, code: int, left: int) -> None:
    """Without `--yes` it asks; only a yes deletes."""
    done = subprocess.run(
        [sys.executable, "-m", "cascade.cli", "runs", "delete", "t1", *STATE],
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert "Delete run 't1' with 1 facts" in done.stderr
    assert len(json.loads(shell("runs", "list", *STATE, "--format", "json").stdout)) == left


WAITING = """
import time
from pathlib import Path

@cs.task
def begin(): return 1

@cs.task(mode="thread")
def wait(_):
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.01)
    return "done"

def workflow():
    return wait(begin())
"""


@pytest.fixture
def active(write: Write) -> Iterator[subprocess.Popen[str]]:
    """A process that drives run `long` until the file `go` is there."""
    folder = write("long.py", WAITING).parent
    words = ["run", "long.py", *STATE, "--run-id", "long", "--no-progress"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cascade.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        ends = time.monotonic() + 60
        while not (folder / "started").exists():
            assert process.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.01)
        yield process
    finally:
        (folder / "go").touch()
        process.communicate(timeout=60)


def test_a_run_that_is_being_driven_is_left_alone(cascade: Call, active: subprocess.Popen[str]) -> None:
    """While a process drives a run, it is shown with who does, and neither deleted nor resumed: exit code 1."""
    (listed,) = json.loads(cascade("runs", "list", *STATE, "--format", "json").out)
    assert (listed["status"], listed["facts"]) == ("running", 1)
    assert listed["driver"].startswith(f"process {active.pid} on ")
    for words in (("delete", "long", "--yes"), ("resume", "long", "long.py")):
        outcome = cascade("runs", *words, *STATE)
        assert (outcome.code, outcome.out) == (1, "")
        assert f"being driven by process {active.pid} on " in outcome.err
        assert len(outcome.err.splitlines()) == 1
    Path("go").touch()
    out, err = active.communicate(timeout=60)
    assert (active.returncode, out, err) == (0, "done\n", "")
    assert cascade("runs", "list", *STATE).out.splitlines()[1].split()[:2] == ["long", "succeeded"]


@pytest.mark.parametrize(
    "words",
    [("list",), ("show", "t1"), ("delete", "t1", "--yes"), ("delete", "t1"), ("resume", "t1", "trip.py")],
)
def test_what_is_wrong_with_a_store_is_one_line(cascade: Call, trip: Path, words: tuple[str, ...]) -> None:
    """A store that is not there, or is something else, is exit code 2; one that can't be read is 1; none is made."""
    params = ("--city", "Oslo") if words[0] == "resume" else ()
    Path("text.db").write_text("not a database " * 99)
    sqlite3.connect("other.db").execute("CREATE TABLE t (x)").connection.close()
    before = sorted(each.name for each in trip.iterdir() if each.name != "__pycache__")
    for state, code, told in (
        ("sqlite:///missing.db", 2, "there is no such file"),
        ("sqlite:///missing/runs.db", 2, "there is no such file"),
        ("sqlite:///other.db", 2, "is not a store of runs"),
        ("runs.db", 2, "sqlite:///runs.db"),
        ("sqlite://runs.db", 2, "sqlite:///"),
        ("sqlite:///text.db", 1, "not a database"),
    ):
        outcome = cascade("runs", *words, "--state", state, *params)
        assert (outcome.code, outcome.out) == (code, ""), state
        assert len(outcome.err.splitlines()) == 1, outcome.err
        assert told in outcome.err
    assert sorted(each.name for each in trip.iterdir() if each.name != "__pycache__") == before


def test_an_unknown_run_is_one_line(cascade: Call, storm: Path) -> None:
    """`show` and `delete` of an id that the store does not have are exit code 2, whatever bytes the id has."""
    for words in (("show", "t9"), ("delete", "t9"), ("delete", "t9", "--yes")):
        outcome = cascade("runs", *words, *STATE)
        assert (outcome.code, outcome.out, len(outcome.err.splitlines())) == (2, "", 1)
        assert "has no run 't9'" in outcome.err
    done = shell("runs", "show", os.fsdecode(b"\xff"), *STATE)
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)


def test_the_store_has_to_be_given(cascade: Call, trip: Path) -> None:
    """Without `--state` there is nothing to look at: exit code 2, and the option is named."""
    for words in (("list",), ("show", "t1"), ("delete", "t1")):
        outcome = cascade("runs", *words)
        assert outcome.code == 2
        assert "--state" in outcome.told


def listed(cascade: Call, *words: str) -> list[str]:
    return [run["run_id"] for run in json.loads(cascade("runs", "list", *words, "--format", "json").out)]


def age(folder: Path, run_id: str, seconds: float) -> None:
    """Let a run have been updated so long ago."""
    with sqlite3.connect(folder / "runs.db") as connection:
        moment = (time.time() - seconds, run_id)
        connection.execute("UPDATE runs SET updated = ? WHERE run_id = ?", moment)
    connection.close()


def test_list_is_narrowed_by_status_age_and_number(
    cascade: Call, quake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--status`, `--since` and `--limit` choose runs; the store may be in `CASCADE_STATE`."""
    age(quake, "t1", 3 * 3600)
    monkeypatch.setenv("CASCADE_STATE", STATE[1])
    assert listed(cascade) == ["t2", "t1"]
    assert listed(cascade, "--status", "failed") == ["t1"]
    assert listed(cascade, "--status", "failed", "--status", "interrupted") == ["t2", "t1"]
    assert listed(cascade, "--status", "succeeded") == []
    assert listed(cascade, "--since", "2h") == ["t2"]
    assert listed(cascade, "--since", "1d") == ["t2", "t1"]
    assert listed(cascade, "--since", "2020-01-01") == ["t2", "t1"]
    assert listed(cascade, "--since", "2020-01-01T10:00:00+02:00", "--limit", "1") == ["t2"]


@pytest.mark.parametrize(
    "words",
    [
        ("list", "--since", "tomorrow"),
        ("list", "--since", "-1h"),
        ("list", "--since", "nan d"),
        ("list", "--since", "infd"),
        ("list", "--since", "h"),
        ("list", "--limit", "0"),
        ("list", "--status", "asleep"),
        ("delete", "--older-than", "soon"),
        ("delete",),
        ("delete", "t1", "--older-than", "1d"),
    ],
)
def test_wrong_choices_of_runs_are_usage_errors(cascade: Call, quake: Path, words: tuple[str, ...]) -> None:
    """An age or a status that is none, and no run or two choices to delete, are exit code 2; nothing is deleted."""
    outcome = cascade("runs", *words, *STATE)
    assert (outcome.code, outcome.out) == (2, "")
    assert listed(cascade, *STATE) == ["t2", "t1"]


def test_old_runs_are_deleted_together(cascade: Call, quake: Path) -> None:
    """`runs delete --older-than AGE` deletes all that were not updated since, and says how many."""
    age(quake, "t1", 40 * 86_400)
    assert cascade("runs", "delete", "--older-than", "50d", "--yes", *STATE).out == "deleted 0 runs\n"
    assert cascade("runs", "delete", "--older-than", "30d", "--yes", *STATE).out == "deleted 1 runs\n"
    assert listed(cascade, *STATE) == ["t2"]


def test_a_run_that_is_driven_is_not_old(cascade: Call, active: subprocess.Popen[str]) -> None:
    """`runs delete --older-than` leaves alone what somebody drives, however old it is."""
    driven = listed(cascade, *STATE)
    assert cascade("runs", "delete", "--older-than", "0s", "--yes", *STATE).code == 0
    assert set(listed(cascade, *STATE)) <= set(driven)
    assert listed(cascade, *STATE)


def test_the_table_of_runs_fits_80_columns(
    cascade: Call, monkeypatch: pytest.MonkeyPatch, storm: Path
) -> None:
    """On a terminal of 80 columns the runs, and the facts of one, are no wider; ids and statuses are whole."""
    monkeypatch.setenv("COLUMNS", "80")
    assert shell("run", "trip.py", "--city", "Rome", *STATE, cwd=storm).returncode == 0
    found = cascade("runs", "list", *STATE).out
    assert max(map(len, found.splitlines())) <= 80
    for run_id in listed(cascade, *STATE):
        assert run_id in found
        page = cascade("runs", "show", run_id, *STATE).out
        assert max(map(len, page.splitlines())) <= 80
    assert "succeeded" in found
    assert "failed" in found


def test_the_items_of_a_map_have_their_indices(cascade: Call, write: Write) -> None:
    """What is recorded of the items of a map that did not end is shown with their indices."""
    write(
        "items.py",
        "@cs.task\ndef half(x): return 6 // x\ndef workflow(): return half.map([1, 2, 0])\n",
    )
    assert cascade("run", "items.py", *STATE, "--run-id", "i").code == 1
    places = [
        each["place"]
        for each in json.loads(cascade("runs", "show", "i", *STATE, "--format", "json").out)["recorded"]
    ]
    assert {"root, item 0", "root, item 1"} <= set(places)


LARGE = """
@cs.task
def load(number):
    return "x" * 5_000

@cs.task(cache=cs.ByInputs())
def keep(text):
    return text * 2

def workflow():
    return keep(load(3))
"""

VALUES = ("--values", "file://{folder}/values", "--values-over", "1000")


def test_values_go_with_their_run_and_their_entries(write: Write, cascade: Call) -> None:
    """`--values` keeps large values there; `runs delete` and `cache prune` remove them, and say what they need."""
    folder = write("large.py", LARGE).parent
    values = [each.format(folder=folder) for each in VALUES]
    cache = ("--cache", "sqlite:///cache.db")
    cascade("run", "large.py", *STATE, "--run-id", "r", *cache, *values)
    there = folder / "values"
    assert len([*there.glob("runs/*/*")]) == 2
    assert len([*there.glob("caches/*/*/*")]) == 1
    refused = cascade("runs", "delete", "r", *STATE, "--yes")
    assert "run 'r' keeps large values in a value store" in refused.told
    assert "--values" in refused.told
    refused = cascade("runs", "delete", "--older-than", "0s", *STATE, "--yes")
    assert "run 'r' keeps large values" in refused.told
    cascade("runs", "delete", "r", *STATE, "--yes", *values[:2])
    assert not [*there.glob("runs/*/*")]
    prune = ("cache", "prune", "sqlite:///cache.db")
    assert "--values" in cascade(*prune).told
    told = cascade(*prune, *values[:2], "--older-than", "7d", "--larger-than", "1KB").out
    assert told == "removed 0 entries and 0 values without an entry, 0 B\n"
    told = cascade(*prune, *values[:2], "--larger-than", "1KB", "--dry-run").out
    assert told.startswith("would remove 1 entry and 0 values without an entry, ")
    assert len([*there.glob("caches/*/*/*")]) == 1
    assert cascade(*prune, *values[:2], "--larger-than", "1KB").out == told.replace("would remove", "removed")
    assert not [*there.glob("caches/*/*/*")]


def test_a_deletion_that_was_killed_is_finished(write: Write, cascade: Call) -> None:
    """The same command once more removes the values of a run that was deleted by a process which was killed then."""

    class Dying(FileValueStore):
        def delete(self, name: str) -> None:
            raise KeyboardInterrupt

    folder = write("large.py", LARGE).parent
    values = [each.format(folder=folder) for each in VALUES]
    cascade("run", "large.py", *STATE, "--run-id", "r", *values)
    with closing(SqliteCatalog(folder / "runs.db")) as catalog, pytest.raises(KeyboardInterrupt):
        delete_run(catalog, "r", Dying(folder / "values"))
    assert "no run 'r'" in cascade("runs", "delete", "r", *STATE, "--yes").told
    assert [*(folder / "values").glob("runs/*/*")]
    assert not cascade("runs", "delete", "r", *STATE, "--yes", *values[:2]).told
    assert not [path for path in (folder / "values").rglob("*") if path.is_file()]


@pytest.mark.parametrize("size", ["", "10 parsecs", "-1", "1e9", "MB"])
def test_a_size_that_is_none_is_refused(cascade: Call, size: str) -> None:
    """Sizes are numbers of bytes, with or without a unit."""
    refused = cascade("cache", "prune", "sqlite:///cache.db", f"--larger-than={size}")
    assert "is no size, as 500, 64KB, 10MB or 1GiB" in refused.told
