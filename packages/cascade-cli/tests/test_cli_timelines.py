"""Claims about the files that a command writes of its run, and about `cascade timeline`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.commands import Call, Write

FLOW = """
import time
@cs.task
def wait(seconds): time.sleep(seconds); return seconds
@cs.task
def total(values): return len(values)
def workflow(): return total(wait.map([0.001, 0.001]))
"""

FAILING = """
@cs.task
def fail(): raise ValueError("no")
def workflow(): return fail()
"""


@pytest.mark.parametrize(
    ("option", "start"),
    [("--report", "<!doctype html>"), ("--trace", '{"traceEvents"'), ("--calls", '{"schema"')],
)
def test_a_run_writes_the_file_that_is_asked_for(
    cascade: Call, write: Write, tmp_path: Path, option: str, start: str
) -> None:
    """`--report`, `--trace` and `--calls` write a file; the result is printed as ever."""
    write("flow.py", FLOW)
    outcome = cascade("run", "flow.py", option, str(tmp_path / "made"))
    assert (outcome.code, outcome.out, outcome.err) == (0, "2\n", "")
    text = (tmp_path / "made").read_text()
    assert text.startswith(start)
    assert "wait" in text


def test_a_run_that_fails_has_its_files_too(cascade: Call, write: Write, tmp_path: Path) -> None:
    """A report of a failed run says so."""
    write("flow.py", FAILING)
    outcome = cascade("run", "flow.py", "--report", str(tmp_path / "run.html"))
    assert outcome.code == 1
    assert "ValueError: no" in (tmp_path / "run.html").read_text()


def test_a_file_that_can_not_be_written_ends_the_command_before_the_run(
    cascade: Call, write: Write, tmp_path: Path
) -> None:
    """A folder that is not there is told before anything runs."""
    write("flow.py", FLOW.replace("time.sleep(seconds)", "print('it ran')"))
    outcome = cascade("run", "flow.py", "--trace", str(tmp_path / "nowhere" / "trace.json"))
    assert outcome.code == 2
    assert "it ran" not in outcome.out
    assert "in a folder that is there" in " ".join(outcome.told.split())


def test_diff_shows_which_tasks_got_slower(cascade: Call, write: Write, tmp_path: Path) -> None:
    """`cascade timeline diff A B` has a row for each task, the greatest change first, and says by how much."""
    for name, pause in (("a", "0.001"), ("b", "0.02")):
        write(f"flow_{name}.py", FLOW.replace("0.001", pause))
        cascade("run", f"flow_{name}.py", "--calls", str(tmp_path / f"{name}.json"))
    outcome = cascade("timeline", "diff", str(tmp_path / "a.json"), str(tmp_path / "b.json"))
    assert (outcome.code, outcome.err) == (0, "")
    heading, first, *_ = outcome.out.splitlines()
    assert heading.split()[0] == "TASK"
    assert first.startswith("wait")
    assert first.endswith("slower")
    found = cascade(
        "timeline", "diff", str(tmp_path / "b.json"), str(tmp_path / "a.json"), "--format", "json"
    )
    rows = {row["task"]: row for row in json.loads(found.out)["tasks"]}
    assert rows["wait"]["change"] < 0
    assert rows["wait"]["calls"] == [2, 2]
    assert rows["wait"]["verdict"].endswith("faster")


def test_diff_names_tasks_that_are_new_or_gone(cascade: Call, write: Write, tmp_path: Path) -> None:
    """A task that only one of the runs has called is new, or gone."""
    write("one.py", FLOW)
    write("two.py", FLOW.replace("total", "count"))
    for name in ("one", "two"):
        cascade("run", f"{name}.py", "--calls", str(tmp_path / f"{name}.json"))
    outcome = cascade("timeline", "diff", str(tmp_path / "one.json"), str(tmp_path / "two.json"))
    ends = {line.split()[0]: line.split()[-1] for line in outcome.out.splitlines()[1:]}
    assert ends["total"] == "gone"
    assert ends["count"] == "new"


@pytest.mark.parametrize("text", ["{}", "no json", '{"schema": 9, "kind": "timeline", "runs": []}', "[1]"])
def test_what_is_no_timeline_is_refused(cascade: Call, tmp_path: Path, text: str) -> None:
    """A file of another kind is told by name, with how to make one."""
    (tmp_path / "other.json").write_text(text)
    outcome = cascade("timeline", "diff", str(tmp_path / "other.json"), str(tmp_path / "other.json"))
    assert outcome.code == 2
    assert "is no timeline" in outcome.told
    assert "--calls" in outcome.told
