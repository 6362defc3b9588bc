"""The `cascade` command: `run`, `graph` and `plan` of a workflow in a file or module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from support.commands import Call, Write

GREETING = '''
@cs.task
def greet(city, count):
    return " ".join(["hello", city] * count)


def workflow():
    """Greet a city."""
    return greet(cs.Param("city", description="Whom to greet."), cs.Param("count", 1))
'''


def test_run_runs_a_file_with_its_parameters(cascade: Call, write: Write) -> None:
    """`cascade run FILE --param value` prints the result of the file's workflow."""
    write("hello.py", GREETING)
    outcome = cascade("run", "hello.py", "--city", "Oslo", "--count", "2")
    assert (outcome.code, outcome.out, outcome.err) == (0, "hello Oslo hello Oslo\n", "")


def test_run_runs_a_module_of_the_current_folder(cascade: Call, write: Write) -> None:
    """`cascade run MODULE` imports as `python -m` does, with the current folder first; packages too."""
    write("hello.py", GREETING)
    write("flows/__init__.py", "")
    write("flows/deep.py", GREETING)
    assert cascade("run", "hello", "--city", "Oslo").out == "hello Oslo\n"
    assert cascade("run", "flows.deep:workflow", "--city", "Rome").out == "hello Rome\n"


def test_a_name_chooses_the_workflow(cascade: Call, write: Write) -> None:
    """`:NAME` is a function, a lazy result, a task without arguments, or a list or dict of lazy results."""
    write(
        "many.py",
        """
@cs.task
def one(): return 1
def workflow(): return one()
def second(): return one()
lazy = one()
both = {"a": one(), "b": lazy}
""",
    )
    for name in ("", ":workflow", ":second", ":lazy", ":one", ":"):
        assert cascade("run", f"many.py{name}").out == "1\n", name
    assert cascade("run", "many.py:both").out == "{'a': 1, 'b': 1}\n"


def test_without_a_name_the_only_candidate_is_meant(cascade: Call, write: Write) -> None:
    """Where nothing is called `workflow`, the one function without arguments or the one lazy result is it.

    Tasks, parameters, private names, what takes arguments and what is imported from elsewhere are no candidates.
    """
    others = """
from textwrap import dedent
from os import getcwd
top = cs.Param("top", 1)
@cs.task
def one(): return 1
def helper(x): return x
def _private(): return 2
"""
    write("function.py", others + "def report(): return one()\n")
    write("lazy.py", others + "result = one()\n")
    assert cascade("run", "function.py").out == "1\n"
    assert cascade("run", "lazy.py").out == "1\n"


def test_several_candidates_are_listed(cascade: Call, write: Write) -> None:
    """Where it is not clear which workflow is meant, the error lists them as they are to be written; exit code 2."""
    write("two.py", "@cs.task\ndef one(): return 1\ndef first(): return one()\nsecond = one()\n")
    outcome = cascade("run", "two.py")
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1
    assert "two.py:first or two.py:second" in outcome.err


def test_an_unknown_option_before_the_target_is_no_target(cascade: Call) -> None:
    """A mistyped option in front of the target is told as an option, and not as a file that is missing."""
    outcome = cascade("run", "--sate", "sqlite:///runs.db", "trip.py")
    assert outcome.code == 2
    assert outcome.err.startswith(
        "Error: --sate: before the target there is no such option; `cascade run -h` shows"
    )


@pytest.mark.parametrize("command", ["run", "graph", "plan"])
@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nothing.py", "there is no file nothing.py; . has empty.py, here.py"),
        ("sub/nothing.py", "there is no file"),
        ("nothing.py:workflow", "there is no file nothing.py"),
        ("nothing", "there is no file or module 'nothing'"),
        ("here.missing", "there is no file or module 'here.missing'"),
        ("no such.thing", "there is no file or module 'no such.thing'"),
        ("..", "there is no file or module"),
        ("", "there is no file or module"),
        (".", "there is no file or module"),
        ("here.py:nothing", "here.py: has no 'nothing'; it has workflow, other"),
        ("here:nothing", "here: has no 'nothing'; it has workflow, other"),
        ("here.py:number", "'number' is not a workflow but int"),
        ("here.py:needs", "workflow 'needs' can't be called without argument"),
        ("here.py:plain", "the target is int"),
        ("empty.py", "has no workflow"),
    ],
)
def test_what_is_not_there_is_one_line_and_exit_code_2(
    cascade: Call, write: Write, command: str, target: str, told: str
) -> None:
    """A file, module or name that can't be found, or is no workflow, is one line that names what there is."""
    write("empty.py", "")
    write(
        "here.py",
        """
number = 3
@cs.task
def one(): return 1
def workflow(): return one()
def other(): return one()
def needs(city): return one()
def plain(x=1): return 3
""",
    )
    outcome = cascade(command, target)
    assert (outcome.code, outcome.out) == (2, "")
    assert len(outcome.err.splitlines()) == 1, outcome.err
    assert told in outcome.err


def test_help_after_the_target_is_the_workflows(cascade: Call, write: Write) -> None:
    """`cascade run FILE --help` shows the workflow's options, `cascade run --help` the command's own."""
    write("hello.py", GREETING)
    helped = cascade("run", "hello.py", "--help").helped
    assert "Greet a city." in helped
    assert "--city <str> Whom to greet. [required]" in helped
    own = cascade("run", "--help").helped
    assert "FILE_OR_MODULE[:NAME]" in own
    assert "--city" not in own


def test_an_unknown_parameter_is_a_usage_error(cascade: Call, write: Write) -> None:
    """An option that the workflow does not have exits with 2 and tells the one that is like it."""
    write("hello.py", GREETING)
    outcome = cascade("run", "hello.py", "--citty", "Oslo")
    assert outcome.code == 2
    assert "--city" in outcome.told


def test_log_options_stand_before_or_after_the_target(cascade: Call, write: Write) -> None:
    """`--log-level` and `--log-format` belong to the workflow's command, and are taken before the target too."""
    write("hello.py", GREETING)
    for words in (
        ("--log-level", "info", "--log-format", "json", "hello.py", "--city", "Oslo"),
        ("hello.py", "--city", "Oslo", "--log-format", "json", "--log-level", "info"),
    ):
        outcome = cascade("run", *words)
        assert outcome.out == "hello Oslo\n"
        assert "greet" in {json.loads(line).get("task_name") for line in outcome.err.splitlines()}


def test_resources_of_the_file_are_registered(cascade: Call, write: Write) -> None:
    """Resources at the top of the file, its own or imported, are there for its tasks."""
    write("shared.py", "@cs.resource\ndef clock():\n    yield 12\n")
    write(
        "tells.py",
        """
from shared import clock

@cs.resource(name="wall")
def _wall(clock=cs.inject(clock)):
    yield f"the wall says {clock}"

@cs.task
def tell(wall=cs.inject("wall")): return wall

def workflow(): return tell()
""",
    )
    assert cascade("run", "tells.py").out == "the wall says 12\n"


def test_a_file_runs_as_python_runs_it(write: Write, tmp_path: Path) -> None:
    """The file's own folder comes first for its imports, and what its `__main__` guard protects does not run."""
    write("lib/wording.py", "GREETING = 'good day'\n")
    write(
        "lib/hello.py",
        """
from wording import GREETING
import json
@cs.task
def greet(): return GREETING
def workflow(): return greet()
if __name__ == "__main__":
    raise SystemExit("the guard fired")
""",
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "cascade.cli", "run", "../lib/hello.py"],
        cwd=elsewhere,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "good day\n", "")


def test_a_file_may_have_the_name_of_a_known_module(cascade: Call, write: Write) -> None:
    """A file called like a module that is imported already runs, and leaves that module alone."""
    write("json.py", GREETING)
    assert cascade("run", "json.py", "--city", "Oslo").out == "hello Oslo\n"
    assert json.loads("1") == 1
    assert sys.modules["json"] is json


def test_a_file_may_make_its_own_command(cascade: Call, write: Write) -> None:
    """A file that calls `cs.cli` at its top is imported without trouble."""
    write("own.py", GREETING + "\napp = cs.cli(workflow)\n")
    assert cascade("run", "own.py", "--city", "Oslo").out == "hello Oslo\n"


@pytest.mark.parametrize("command", ["run", "graph", "plan"])
@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("raise RuntimeError('at the top')", "RuntimeError: at the top"),
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def workflow():\n    return 1 / 0", "ZeroDivisionError"),
        ("x = = 1", "SyntaxError"),
        ("def workflow():\n    return cs.sequence([])", "SpecError: cs.sequence of nothing"),
    ],
)
def test_a_file_that_breaks_shows_its_own_traceback(
    cascade: Call, write: Write, command: str, text: str, told: str
) -> None:
    """An exception in the file's import or workflow function gives a traceback of that file alone, and exit 1."""
    path = write("breaks.py", text)
    for target in ("breaks.py", "breaks"):
        outcome = cascade(command, target)
        assert (outcome.code, outcome.out) == (1, "")
        assert told in outcome.err
        files = [line for line in outcome.err.splitlines() if line.lstrip().startswith("File ")]
        assert files
        assert all(str(path) in line for line in files), outcome.err


def test_a_failing_workflow_exits_1_with_its_traceback(cascade: Call, write: Write) -> None:
    """What a task raises is shown with the file's own lines and no others."""
    write("fails.py", "@cs.task\ndef fail():\n    raise ValueError('no')\nworkflow = fail()\n")
    outcome = cascade("run", "fails.py")
    assert (outcome.code, outcome.out) == (1, "")
    assert "fails.py" in outcome.err
    assert "ValueError: no" in outcome.err
    assert f"cascade{os.sep}runtime" not in outcome.err


def test_two_contracts_for_one_name_are_named(cascade: Call, write: Write) -> None:
    """Two declarations of one parameter that disagree are an error that shows both, before anything runs."""
    write(
        "two.py",
        "@cs.task\ndef f(a, b): ...\ndef workflow():\n    return f(cs.Param('x', 1), cs.Param('x', 2))\n",
    )
    outcome = cascade("run", "two.py")
    assert outcome.code == 1
    assert "default=1" in outcome.err
    assert "default=2" in outcome.err


GRAPH = """
@cs.task
def load(): raise AssertionError("it ran")
@cs.task
def count(rows, top): ...
def workflow(): return count(load(), cs.Param("top"))
"""


@pytest.mark.parametrize(
    ("form", "start"), [(None, "flowchart"), ("mermaid", "flowchart"), ("dot", "digraph"), ("json", "{")]
)
def test_graph_draws_and_runs_nothing(cascade: Call, write: Write, form: str | None, start: str) -> None:
    """`cascade graph FILE --format mermaid|dot|json` prints the graph, Mermaid unless told; no parameter is needed."""
    write("draw.py", GRAPH)
    outcome = cascade("graph", "draw.py", *(("--format", form) if form else ()))
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(start)
    assert all(name in outcome.out for name in ("load", "count", "top"))
    if form == "json":
        assert len(json.loads(outcome.out)["nodes"]) == 3


def test_an_unknown_format_lists_the_known_ones(cascade: Call, write: Write) -> None:
    """`--format` of another kind exits with 2."""
    write("draw.py", GRAPH)
    outcome = cascade("graph", "draw.py", "--format", "gif")
    assert outcome.code == 2
    assert all(form in outcome.told for form in ("mermaid", "dot", "json", "svg", "png", "html"))


@pytest.mark.parametrize(("form", "start"), [("svg", b"<svg"), ("html", b"<!doctype"), ("png", b"\x89PNG")])
def test_graph_writes_pictures_and_runs_nothing(
    cascade: Call, write: Write, tmp_path: Path, form: str, start: bytes
) -> None:
    """`cascade graph FILE --format svg|png|html -o PICTURE` writes the picture to a file and prints nothing."""
    write("draw.py", GRAPH)
    made = tmp_path / f"flow.{form}"
    outcome = cascade("graph", "draw.py", "--format", form, "-o", str(made))
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert made.read_bytes().startswith(start)


def test_graph_prints_a_picture_without_a_file(cascade: Call, write: Write) -> None:
    """Without `-o` the picture goes to standard output."""
    write("draw.py", GRAPH)
    outcome = cascade("graph", "draw.py", "--format", "svg")
    assert outcome.code == 0
    assert outcome.out.startswith("<svg")
    assert all(f">{name}<" in outcome.out for name in ("load", "count", "top"))


def test_no_png_is_written_to_a_terminal(write: Write, tmp_path: Path) -> None:
    """A PNG is refused where standard output is a terminal, with what to do."""
    write("draw.py", f"import cascade as cs\n{GRAPH}")
    controller, terminal = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "cascade.cli", "graph", "draw.py", "--format", "png"],
            stdout=terminal,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            timeout=60,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(controller)
    assert done.returncode == 2
    assert b"-o flow.png" in done.stderr


def test_plan_shows_the_order_and_runs_nothing(cascade: Call, write: Write) -> None:
    """`cascade plan FILE` lists stage, node, task, kind and what it waits for, in the order of a run."""
    write("draw.py", GRAPH)
    outcome = cascade("plan", "draw.py")
    assert (outcome.code, outcome.err) == (0, "")
    heading, *rows = (line.split() for line in outcome.out.splitlines())
    assert heading == ["STAGE", "NODE", "TASK", "KIND", "WAITS", "FOR"]
    assert [(row[0], row[2], row[3]) for row in rows] == [
        ("1", "load", "task"),
        ("1", "top", "param"),
        ("2", "count", "task"),
    ]
    assert {word.strip(",") for word in rows[2][4:]} == {rows[0][1], rows[1][1]}


def test_plan_of_a_wide_graph_stays_readable(cascade: Call, write: Write) -> None:
    """A task that waits for thousands has their number in its line."""
    write("wide.py", "@cs.task\ndef one(n): return n\nworkflow = cs.gather(*(one(n) for n in range(3000)))\n")
    last = cascade("plan", "wide.py").out.splitlines()[-1]
    assert last.endswith("and 2994 more")


def test_version(cascade: Call) -> None:
    """`cascade --version` tells the version of the wheel."""
    assert cascade("--version").out == f"cascade {version('cascade-cli')}\n"


def test_help_and_unknown_commands(cascade: Call) -> None:
    """`cascade --help` lists the commands with exit code 0, an unknown one exits with 2."""
    outcome = cascade("--help")
    assert outcome.code == 0
    assert all(name in outcome.helped for name in ("run", "graph", "plan", "--version"))
    assert cascade("fly").code == 2
