"""`cascade why`: what a cache has for each task of a workflow, and why it has nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.commands import Call, Write

CACHE = ("--cache", "sqlite:///cache.db")

REPORT = """
from pathlib import Path

def note(name):
    with Path("calls.txt").open("a") as calls:
        calls.write(name + " ")

@cs.task(cache=cs.ByInputs(ttl=3600))
def load(city):
    note("load")
    return [1, 2, 3]

@cs.task(cache=cs.ByInputs())
def square(x):
    note("square")
    return x * x

@cs.task(cache=cs.ByInputs())
def total(values):
    note("total")
    return sum(values)

def workflow():
    return total(square.map(load(cs.Param("city"))))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a workflow, and a cache that has its values for Oslo."""
    folder = tmp_path_factory.mktemp("filled")
    (folder / "report.py").write_text("import cascade as cs\n\n" + REPORT)
    run = "import report; report.cs.run(report.workflow, params={'city': 'Oslo'}, cache='sqlite:///cache.db')"
    subprocess.run([sys.executable, "-c", run], cwd=folder, check=True)
    (folder / "calls.txt").unlink()
    return folder


@pytest.fixture
def report(filled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("report.py", "cache.db"):
        shutil.copy(filled / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "report.py"


def told(outcome: Any) -> dict[str, str]:
    """Give what is told of each task."""
    assert (outcome.code, outcome.err) == (0, "")
    head, *lines = outcome.out.splitlines()
    assert head.split() == ["NODE", "TASK", "PLACE", "CACHE"]
    rows = [line.split(maxsplit=3) for line in lines]
    return {row[1]: row[3] for row in rows}


def test_hits_tell_when_they_were_stored_and_until_when_they_hold(cascade: Call, report: Path) -> None:
    """A line for each node, in the plan's order; nothing is run."""
    outcome = cascade("why", "report.py", *CACHE, "--city", "Oslo")
    lines = told(outcome)
    assert list(lines) == ["city", "load", "square", "total"]
    assert lines["city"] == "input"
    assert lines["load"].startswith("hit: stored 20")
    assert ", holds until 20" in lines["load"]
    assert lines["square"] == "3 of 3 hit"
    assert lines["total"].endswith(", holds for ever")
    assert not Path("calls.txt").exists()
    assert "Oslo" not in outcome.out


def test_a_miss_tells_what_has_changed(cascade: Call, report: Path) -> None:
    """Below a miss all is unknown until that task runs."""
    lines = told(cascade("why", "report.py:workflow", "--city", "Rome", *CACHE))
    assert lines["load"].startswith("miss: argument 'city' changed (last stored 20")
    assert lines["square"] == lines["total"] == "unknown until load runs"


def test_changed_code_is_told(cascade: Call, report: Path) -> None:
    """After an edit of a task, its code is what has changed; of a map, how many items are there is told."""
    report.write_text(report.read_text().replace("return x * x", "return x ** 2"))
    lines = told(cascade("why", "report.py", *CACHE, "--city", "Oslo"))
    assert lines["load"].startswith("hit")
    assert lines["square"].startswith("0 of 3 hit; item 0: miss: code changed (last stored 20")
    assert lines["total"] == "unknown until square runs"


def test_all_verdicts_have_their_words(cascade: Call, report: Path, write: Write) -> None:
    """What can't be cached, is not cached, exists, is skipped or was never seen is told in words."""
    write(
        "words.py",
        """
from report import load

@cs.task
def fresh(x=0): return x

@cs.task(cache=cs.ByInputs())
def new(x): return x

@cs.task(cache=cs.ByInputs())
def odd(x): return x

@cs.task
def file(): return None

@cs.task
def nofile(): return None

@cs.task(cache=cs.ByInputs())
def maybe(x): return x

@cs.task
def left(): return None

def workflow():
    no = cs.Param("go", False)
    return [
        new(1), odd(object()), file().with_cache(cs.FileExists("words.py")), nofile().with_cache(cs.FileExists("no")),
        maybe(cs.Router(selector=fresh("a"), routes={"a": load("Oslo")})), left().run_if(no, otherwise=0),
    ]
""",
    )
    lines = told(cascade("why", "words.py", *CACHE))
    assert {name: line for name, line in lines.items() if name not in ("load", "gather")} == {
        "new": "miss: never seen",
        "odd": "uncacheable: argument 'x' of type builtins.object",
        "file": "exists",
        "nofile": "miss: there is no such file",
        "fresh": "not cached",
        "maybe": "unknown until fresh runs",
        "left": "skipped: ConditionFalse",
        "go": "input",
    }
    assert lines["load"].endswith("; wanted or not: unknown until fresh runs")
    assert lines["gather"].startswith("unknown until ")
    assert lines["gather"].endswith(" and others run")


def test_tasks_of_one_name_are_told_apart(cascade: Call, report: Path, write: Write) -> None:
    """A task that has to run first is named with its node where several nodes have its name."""
    write("two.py", "from report import load, total\nworkflow = [total(load('Bern')), total(load('Oslo'))]")
    assert "unknown until load (n3) runs" in cascade("why", "two.py", *CACHE).out


def test_format_json_gives_data(cascade: Call, report: Path) -> None:
    """`--format json` gives the same as data, with times in UTC, before the target or after it."""
    for words in (("report.py", *CACHE, "--format", "json"), ("--format", "json", *CACHE, "report.py")):
        found = {each["task"]: each for each in json.loads(cascade("why", *words, "--city", "Oslo").out)}
        load = found["load"]
        held = datetime.fromisoformat(load["expires_at"]) - datetime.fromisoformat(load["stored_at"])
        assert (load["verdict"], load["place"], load["node"]) == ("hit", "root.args.0.args.0", "n2")
        assert abs(held - timedelta(hours=1)) < timedelta(seconds=1)
        assert found["square"]["items"] == {"total": 3, "hits": 3, "first": None}
    found = json.loads(cascade("why", "report.py", *CACHE, "--format", "json", "--city", "Rome").out)
    assert found[1]["changed"] == [{"part": "argument", "name": "city"}]
    assert found[2]["until"] == [{"node": "n2", "task": "load"}]


def test_a_parameter_may_have_the_name_of_a_setting(cascade: Call, report: Path, write: Write) -> None:
    """Behind the target `--format` is then the parameter's; before it, it is the command's."""
    write("own.py", "from report import load\ndef workflow(): return load(cs.Param('format'))")
    outcome = cascade("why", "--format", "json", *CACHE, "own.py", "--format", "Oslo")
    assert [each["verdict"] for each in json.loads(outcome.out)] == ["input", "hit"]


def test_the_help_after_the_target_shows_the_parameters(cascade: Call, report: Path) -> None:
    """`--help` behind the target is the workflow's own: its parameters, and the two settings."""
    outcome = cascade("why", "report.py", "--help")
    assert outcome.code == 0
    for word in ("--city", "--cache", "--format", "Usage: cascade why report.py"):
        assert word in outcome.helped


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("report.py", "--city", "Oslo"), 2, "give the URL of a cache, --cache sqlite:///cache.db"),
        (
            ("report.py", "--city", "Oslo", "--cache", "sqlite:///no.db"),
            2,
            "store no.db: there is no such file",
        ),
        (("report.py", "--city", "Oslo", "--cache", "sqlite:///report.py"), 1, "store report.py"),
        (("report.py", "--city", "Oslo", "--cache", "cache.db"), 2, "is not the URL of a known cache"),
        (("report.py", *CACHE), 2, "Missing option '--city'"),
        (("report.py", *CACHE, "--town", "Oslo"), 2, "--town"),
        (("missing.py", *CACHE), 2, "there is no file missing.py"),
        (("report.py:other", *CACHE), 2, "has no 'other'"),
    ],
)
def test_what_is_asked_wrong_is_told(
    cascade: Call, report: Path, words: tuple[str, ...], code: int, message: str
) -> None:
    """The exit codes are those of the other commands: 2 for what is not there, 1 for what can't be read."""
    outcome = cascade("why", *words)
    assert (outcome.code, outcome.out) == (code, "")
    assert message in outcome.told
    assert not Path("no.db").exists()


def test_secrets_are_not_shown(cascade: Call, report: Path, write: Write) -> None:
    """A secret is read and makes its call one without a key; its value is nowhere."""
    write("secret.py", "from report import load\ndef workflow(): return load(cs.Secret('token'))")
    outcome = cascade("why", "secret.py", *CACHE, "--token", "hunter2")
    assert told(outcome)["load"].startswith("uncacheable: argument 'city' of type")
    assert "hunter2" not in outcome.out


def test_a_deep_place_is_cut(
    cascade: Call, report: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a place deeper than 32 steps the last ones are shown."""
    monkeypatch.setenv("COLUMNS", "1000")
    write(
        "deep.py",
        "from report import total\nworkflow = total(1)\nfor _ in range(99): workflow = total(workflow)",
    )
    found = cascade("why", "deep.py", *CACHE).out.splitlines()[1].split()
    assert found[2] == "..." + ".args.0" * 32


def test_what_a_script_has_stored_is_found(cascade: Call, report: Path) -> None:
    """A file that is run by itself and the same file when it is imported have the same keys."""
    run = "\nif __name__ == '__main__':\n    cs.run(workflow, params={'city': 'Oslo'}, cache='sqlite:///script.db')\n"
    Path("script.py").write_text(report.read_text() + run)
    subprocess.run([sys.executable, "script.py"], check=True)
    lines = told(cascade("why", "script.py", "--cache", "sqlite:///script.db", "--city", "Oslo"))
    assert lines["load"].startswith("hit")
