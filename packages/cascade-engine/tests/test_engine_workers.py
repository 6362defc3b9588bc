"""Claims about worker processes: from which programs they can be started, and that they never outlive them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 240
"""Seconds after which something that should have happened counts as never happening."""

TASKS = """
import os, sys, time
import cascade as cs

class Point:
    def __init__(self, x):
        self.x = x
        self.pid = os.getpid()

@cs.task(mode="process")
def pid(point=None):
    return os.getpid(), point

@cs.task(mode="process")
def move(point):
    return Point(point.x + 1)

@cs.task(mode="process")
def sleep(folder):
    with open(os.path.join(folder, "pid"), "w") as file:
        file.write(str(os.getpid()))
    os.rename(os.path.join(folder, "pid"), os.path.join(folder, "began"))
    time.sleep(600)

@cs.task
def inline(x=None):
    print("inline", flush=True)
    return x
"""

MAIN = """
if __name__ == "__main__":
    point = cs.run(move(Point(1)))
    print(type(point) is Point, point.pid != os.getpid(), point.x)
"""


def python(*args: str | Path, cwd: Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args],
        input=text,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("name", ["plain.py", "json.py", "a.b.py", "script"])
def test_a_script_of_any_name_has_process_tasks(tmp_path: Path, name: str) -> None:
    """A script's tasks run in other processes, whatever the file is called, with objects of its own classes."""
    (tmp_path / name).write_text(TASKS + MAIN)
    done = python(name, cwd=tmp_path)
    assert (done.stdout, done.stderr, done.returncode) == ("True True 2\n", "", 0)


def test_a_module_that_is_run_has_process_tasks(tmp_path: Path) -> None:
    """`python -m package.module`, `python -m package` and `python folder` work as scripts do."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("module.py", "__main__.py"):
        (package / name).write_text(TASKS + MAIN)
    for args in (["-m", "package.module"], ["-m", "package"], ["package"]):
        done = python(*args, cwd=tmp_path)
        assert (done.stdout, done.stderr) == ("True True 2\n", ""), args


@pytest.mark.parametrize("name", ["json.py", "a.b.py", "./script"])
def test_the_command_runs_process_tasks_of_a_file_of_any_name(tmp_path: Path, name: str) -> None:
    """`cascade run` loads the file under a name of its own, and workers find its tasks and classes."""
    (tmp_path / name).write_text(TASKS + "\ndef workflow():\n    return inline(move(move(Point(1))))\n")
    show = "\nPoint.__str__ = lambda self: f'at {self.x}'\n"
    (tmp_path / name).write_text((tmp_path / name).read_text() + show)
    done = python("-m", "cascade.cli", "run", "--no-progress", name, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("inline\nat 3\n", "")


def test_what_stands_in_no_file_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """Tasks of `python -c` and of standard input can't be found elsewhere: an error that names the task, at once."""
    text = TASKS + "\ncs.run(pid(inline()))\n"
    for done in (
        python("-c", text, cwd=tmp_path),
        python(cwd=tmp_path, text=text),
        python("-", cwd=tmp_path, text=text),
    ):
        assert done.stdout == ""
        last = done.stderr.splitlines()[-1]
        assert "TaskReferenceError: task 'pid' can't be found by another process as __main__.pid" in last
        assert "define the task in a module of its own" in last


def test_tasks_of_a_module_run_from_anywhere(tmp_path: Path) -> None:
    """A program that stands in no file may use the process tasks of modules."""
    (tmp_path / "module.py").write_text(TASKS)
    text = "import os, cascade as cs, module\nprint(cs.run(module.pid())[0] != os.getpid())\n"
    for done in (
        python("-c", text, cwd=tmp_path),
        python(cwd=tmp_path, text=text),
    ):
        assert done.stdout == "True\n", done.stderr


def test_a_script_without_a_guard_is_told_so(tmp_path: Path) -> None:
    """A script that runs something as soon as it is imported gets an error that says so, and runs nothing twice."""
    (tmp_path / "bare.py").write_text(TASKS + "\nprint(cs.run(inline(1)))\nprint(cs.run(pid()))\n")
    done = python("bare.py", cwd=tmp_path)
    assert done.stdout == "inline\n1\n"
    last = done.stderr.splitlines()
    assert any("UnguardedMainError" in line and 'if __name__ == "__main__":' in line for line in last)
    assert done.returncode == 1


def test_a_script_that_hides_the_error_is_told_too(tmp_path: Path) -> None:
    """The same if the script catches what its run in the worker raises."""
    hidden = "\ntry:\n    cs.run(pid())\nexcept cs.CascadeError as error:\n    print(type(error).__name__)\n"
    (tmp_path / "bare.py").write_text(TASKS + hidden)
    assert python("bare.py", cwd=tmp_path).stdout.split() == ["UnguardedMainError"] * 2  # in both processes


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


ENDINGS = {
    "killed": "os.kill(os.getpid(), 9)",
    "exits": "os._exit(3)",
    "terminated": "os.kill(os.getpid(), 15)",
    "interpreter ends": "return",
    "fails": "raise SystemExit(1)",
}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize(
    ("how", "busy"), [*((how, True) for how in ENDINGS), ("killed", False), ("interpreter ends", False)]
)
def test_workers_end_with_their_parent(tmp_path: Path, how: str, busy: bool) -> None:
    """However a program ends, none of its worker processes is there afterwards."""
    (tmp_path / "ends.py").write_text(
        f"""{TASKS}
import asyncio
from cascade.adapters.executors.local import LocalExecutor

async def main():
    executor = LocalExecutor(processes=2)
    engine = cs.Engine(executor=executor)
    there = (await engine.run(pid()))[0]
    running = asyncio.ensure_future(engine.run(sleep("."))) if {busy} else None
    while {busy} and not os.path.exists("began"):
        await asyncio.sleep(0.01)
    print(there, open("began").read() if {busy} else there, flush=True)
    {ENDINGS[how]}

if __name__ == "__main__":
    asyncio.run(main())
"""
    )
    done = python("ends.py", cwd=tmp_path)
    pids = [*map(int, done.stdout.split())]
    assert len(pids) == 2, done.stderr
    ends = time.monotonic() + PATIENCE
    while not all(map(is_gone, pids)):
        assert time.monotonic() < ends, "a worker lives on"
        time.sleep(0.02)


def test_an_interrupt_at_the_terminal_is_the_parents(tmp_path: Path) -> None:
    """Ctrl-C goes to all processes in the foreground; the workers are not there, and print no tracebacks."""
    (tmp_path / "waits.py").write_text(
        TASKS + "\nif __name__ == '__main__':\n"
        "    try:\n        cs.run(sleep('.'))\n"
        "    except KeyboardInterrupt:\n        print('interrupted')\n"
    )
    with subprocess.Popen(
        [sys.executable, "waits.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        ends = time.monotonic() + PATIENCE
        while not (tmp_path / "began").exists():
            assert time.monotonic() < ends
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert (out, err, process.returncode) == ("interrupted\n", "", 0)
    assert is_gone(int((tmp_path / "began").read_text()))
