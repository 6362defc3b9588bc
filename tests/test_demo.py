"""The demo: each way to start it works, and its numbers are those of an independent count."""

from __future__ import annotations

import os
import shlex
import sqlite3
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_python

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples"
DEMO = str(EXAMPLES / "access_log.py")

AS_A_SCRIPT = (DEMO,)
AS_A_TARGET = ("-m", "cascade.cli", "run", DEMO)


def start(*words: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200", "PYTHONWARNINGS": "error"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def lines() -> list[str]:
    return [
        line for log in sorted((EXAMPLES / "data").glob("*.log")) for line in log.read_text().splitlines()
    ]


def fields() -> list[list[str]]:
    """What `awk` sees of the lines that are requests: those with ten fields."""
    return [words for words in map(str.split, lines()) if len(words) == 10]


def rows_in(database: Path) -> dict[int, int]:
    connection = sqlite3.connect(database)
    try:
        return dict(connection.execute("SELECT status, count FROM requests"))
    finally:
        connection.close()


@pytest.mark.parametrize("way", [AS_A_SCRIPT, AS_A_TARGET])
def test_the_report_agrees_with_an_independent_count(way: tuple[str, ...], tmp_path: Path) -> None:
    """Lines, requests by status and top paths are what counting the logs' fields gives, in the database too."""
    statuses = Counter(words[8] for words in fields())
    paths = Counter(words[6] for words in fields())
    failed = Counter(words[6] for words in fields() if words[8].startswith("5"))

    done = start(*way, "--database", str(tmp_path / "counts.sqlite"), "--top", "3")

    assert done.returncode == 0, done.stderr
    heading, *rest = done.stdout.splitlines()
    assert heading == f"{len(lines())} lines, {len(fields())} requests"
    told = [tuple(line.split()) for line in rest[: len(statuses) + 3]]
    assert told[: len(statuses)] == [(str(statuses[status]), status) for status in sorted(statuses)]
    assert told[len(statuses) :] == [(str(count), path) for path, count in paths.most_common(3)]
    rate = failed.total() / len(fields())
    worst, count = failed.most_common(1)[0]
    assert rest[-2] == f"INCIDENT: {rate:.2%} of the requests failed, {count} on {worst}; wake up payments"
    assert rows_in(tmp_path / "counts.sqlite") == {int(status): count for status, count in statuses.items()}


def test_the_logs_have_a_few_thousand_lines() -> None:
    """The demo's input is of a size that somebody could have, with lines in it that are no requests."""
    assert 3_000 <= len(lines()) <= 10_000
    assert len(fields()) < len(lines())


def test_hatch_runs_the_demo(tmp_path: Path) -> None:
    """What `hatch run demo` stands for is the demo, and it takes arguments."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["envs"]["default"][
        "scripts"
    ]
    python, *words = shlex.split(
        scripts["demo"].format(args=f"--database {shlex.quote(str(tmp_path / 'db'))}")
    )
    assert python == "python"
    assert "INCIDENT" in start(*words).stdout


@pytest.mark.parametrize("way", [AS_A_SCRIPT, AS_A_TARGET])
def test_the_help_shows_every_parameter(way: tuple[str, ...]) -> None:
    """`--help` lists the demo's parameters with their descriptions."""
    done = start(*way, "--help")
    assert done.returncode == 0, done.stderr
    assert "Report on the access logs" in done.stdout
    for option in ("--logs", "--top", "--threshold", "--outages", "--database", "--log-level"):
        assert option in done.stdout


def test_the_flaky_step_is_retried(tmp_path: Path) -> None:
    """The directory leaves its first call unanswered: the log tells of one retry, and the report comes."""
    done = start(*AS_A_SCRIPT, "--database", str(tmp_path / "db"))
    assert done.returncode == 0
    assert done.stderr.count("retry") == 1
    assert "retry 1 of 2" in done.stderr
    assert start(*AS_A_SCRIPT, "--database", str(tmp_path / "db"), "--outages", "0").stderr == ""


def test_the_threshold_chooses_the_route(tmp_path: Path) -> None:
    """Below the threshold the other route runs, and nobody asks the directory."""
    done = start(*AS_A_SCRIPT, "--database", str(tmp_path / "db"), "--threshold", "0.2", "--outages", "9")
    assert (done.returncode, done.stderr) == (0, "")
    assert "all quiet" in done.stdout


def test_a_failure_rolls_the_database_back(tmp_path: Path) -> None:
    """When the directory stays silent the run fails with the task's traceback, and what was saved is undone."""
    database = tmp_path / "db"
    assert start(*AS_A_SCRIPT, "--database", str(database)).returncode == 0
    before = rows_in(database)

    (tmp_path / "logs").mkdir()
    few = [line for line in lines() if '" 503 ' in line][:10]
    (tmp_path / "logs" / "few.log").write_text("\n".join(few))
    words = ("--database", str(database), "--logs", str(tmp_path / "logs"))
    done = start(*AS_A_SCRIPT, *words, "--outages", "3", "--log-level", "info")

    assert (done.returncode, done.stdout) == (1, "")
    assert "save (" in done.stderr
    assert "ConnectionError: the directory did not answer call 3" in done.stderr
    assert "cascade/runtime" not in done.stderr.replace(os.sep, "/")
    assert rows_in(database) == before
    assert start(*AS_A_SCRIPT, *words).returncode == 0
    assert rows_in(database) == {503: 10}


def test_a_recorded_run_writes_again_what_was_rolled_back(tmp_path: Path) -> None:
    """A recorded run that failed and was rolled back goes on, and what it says to be saved is in the database."""
    database = tmp_path / "db"
    words = ("--database", str(database), "--state", f"sqlite:///{tmp_path / 'runs.db'}", "--run-id", "m")
    assert start(*AS_A_SCRIPT, *words, "--outages", "3").returncode == 1
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        rows_in(database)

    done = start(*AS_A_SCRIPT, *words, "--outages", "1", "--resume", "compatible")

    assert done.returncode == 0, done.stderr
    assert f"saved to {database}" in done.stdout
    assert rows_in(database) == Counter(int(words[8]) for words in fields())


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    """A folder without logs ends with exit code 1 and names the folder."""
    done = start(*AS_A_SCRIPT, "--logs", str(tmp_path), "--database", str(tmp_path / "db"))
    assert done.returncode == 1
    assert f"there are no *.log files in {tmp_path}" in done.stderr


def test_the_logs_are_what_their_script_makes(tmp_path: Path) -> None:
    """`make_access_log.py` has a seed: it makes the bundled files again, byte for byte."""
    assert start(str(EXAMPLES / "make_access_log.py"), str(tmp_path)).returncode == 0
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in (EXAMPLES / "data").glob("*.log")}
