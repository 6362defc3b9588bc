"""Claims about files: as inputs, told by their content, and as what tasks make, which is whole or made again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import CacheBypassed, Engine, RunChangedError
from cascade.spec import FileUnreadableError, StoredReferenceError

CALLS: list[str] = []


@pytest.fixture(autouse=True)
def fresh() -> None:
    CALLS.clear()


@cs.task(cache=cs.ByInputs())
def lines(data: cs.File) -> int:
    CALLS.append("lines")
    return len(data.path.read_text().splitlines())


@cs.task(cache=cs.ByInputs())
def made(folder: Path) -> cs.File:
    CALLS.append("made")
    (folder / "made.csv").write_text("x")
    return cs.File(folder / "made.csv")


@cs.task
def read(data: cs.File) -> str:
    return data.path.read_text()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/cache.db"


def test_a_cached_value_goes_by_the_content_of_a_file(tmp_path: Path, url: str) -> None:
    """A file with the same content is a hit wherever it lies; an edited one is not."""
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("a\nb")
    other.write_text("a\nb")
    assert [cs.run(lines(cs.File(path)), cache=url) for path in (one, other)] == [2, 2]
    assert CALLS == ["lines"]
    one.write_text("a\nb\nc")
    assert cs.run(lines(cs.File(one)), cache=url) == 3


def test_a_missing_file_is_told_before_the_call(tmp_path: Path, url: str) -> None:
    """A cached call with a file that is not there fails with the path, and is not made."""
    with pytest.raises(FileUnreadableError, match="missing"):
        cs.run(lines(cs.File(tmp_path / "missing")), cache=url)
    assert CALLS == []


@pytest.mark.parametrize("many", [1, 3])
async def test_a_file_that_changes_during_the_call_is_not_cached(tmp_path: Path, many: int) -> None:
    """The value of a call during which its file changed is not kept, and an event says so; nor do others get it."""
    path = tmp_path / "data"
    path.write_text("a")
    told: list[str] = []

    @cs.task(cache=cs.ByInputs())
    async def slow(data: cs.File) -> str:
        CALLS.append("slow")
        await asyncio.sleep(0)
        if CALLS == ["slow"]:
            path.write_text("b")
        return data.path.read_text()

    async with Engine() as engine:
        engine.bus.subscribe(CacheBypassed, lambda event: told.append(event.reason))
        first = await engine.run([slow(cs.File(path)) for _ in range(many)])
        value = [*first, await engine.run(slow(cs.File(path))), await engine.run(slow(cs.File(path)))]
    assert value == ["b"] * (many + 2)
    assert len(CALLS) == many + 1
    assert "the content of 'data' has changed while task 'slow' was called" in told[0]


def test_a_file_that_is_a_value_is_good_while_it_is_there(tmp_path: Path, url: str) -> None:
    """A cached value that is a file is a hit only while the file has the content that it had."""
    for _ in range(2):
        assert cs.run(read(made(tmp_path)), cache=url) == "x"
    assert CALLS == ["made"]
    (tmp_path / "made.csv").write_text("y")
    assert cs.run(read(made(tmp_path)), cache=url) == "x"
    (tmp_path / "made.csv").unlink()
    assert cs.run(read(made(tmp_path)), cache=url) == "x"
    assert CALLS == ["made"] * 3


@cs.task
def count(data: cs.File, more: int) -> int:
    CALLS.append("count")
    if not more:
        raise OSError("interrupted")
    return len(data.path.read_text())


def resumable(data: Any, fails: bool = False) -> Any:
    return count(data, 0 if fails else 1)


@pytest.mark.parametrize("kind", ["literal", "param", "default"])
def test_a_recorded_run_goes_by_the_content_of_a_file(tmp_path: Path, kind: str) -> None:
    """A run whose file was edited in between is refused; one with the same content elsewhere goes on."""
    state: Any = {"state": f"sqlite:///{tmp_path}/runs.db", "run_id": "r"}
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("abc")
    other.write_text("abc")

    def run(path: Path) -> Any:
        file = cs.File(path)
        if kind == "literal":
            return cs.run(count(file, 1), **state)
        if kind == "param":
            return cs.run(count(cs.Param("data", type=cs.File), 1), params={"data": file}, **state)
        return cs.run(count(cs.Param("data", file), 1), **state)

    assert run(one) == run(other) == 3
    assert CALLS == ["count"]
    one.write_text("abd")
    with pytest.raises(RunChangedError):
        run(one)


@cs.task
def make_file(folder: Path) -> cs.File:
    CALLS.append("make")
    (folder / "out").write_text("x")
    return cs.File(folder / "out")


@cs.task
def fails_once(data: cs.File) -> str:
    CALLS.append("fails")
    if CALLS.count("fails") == 1:
        raise OSError("down")
    return data.path.read_text()


def test_a_recorded_file_is_what_it_was_or_an_error(tmp_path: Path) -> None:
    """A run that goes on reads the file that a task made before; one that has changed since is an error by name."""
    for run_id, content in (("same", "x"), ("other", "y")):
        CALLS.clear()
        state: Any = {"state": f"sqlite:///{tmp_path}/runs.db", "run_id": run_id}
        with pytest.raises(OSError, match="down"):
            cs.run(fails_once(make_file(tmp_path)), **state)
        (tmp_path / "out").write_text(content)
        if content == "x":
            assert cs.run(fails_once(make_file(tmp_path)), **state) == "x"
            assert CALLS == ["make", "fails", "fails"]
        else:
            with pytest.raises(StoredReferenceError, match=r"out.*holds something else by now"):
                cs.run(fails_once(make_file(tmp_path)), **state)


# Files that tasks make


def marks(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*.unfinished")]


@pytest.mark.parametrize("place", ["out", "new/folder/out"])
@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_a_file_of_a_call_that_failed_is_made_again(tmp_path: Path, place: str, mode: Any) -> None:
    """A file that a failed call left half-written is not taken; once a call has succeeded it is."""
    path = tmp_path / place

    @cs.task(cache=cs.FileExists(path), mode=mode)
    def make(fails: bool) -> Any:
        CALLS.append("make")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
        if fails:
            raise OSError("disk full")
        path.write_text("whole")
        return "made"

    with pytest.raises(OSError, match="disk full"):
        cs.run(make(True))
    assert len(marks(tmp_path)) == 1
    assert cs.FileExists(path).known(None) is None  # type: ignore[arg-type]  # the call has no say
    assert cs.run(make(False)) == "made"
    assert marks(tmp_path) == []
    assert cs.run(make(False)) == path
    assert path.read_text() == "whole"


def test_a_call_that_failed_without_a_file_leaves_nothing(tmp_path: Path) -> None:
    """Where there is no file, no mark stays."""

    @cs.task(cache=cs.FileExists(tmp_path / "out"))
    def make() -> None:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        cs.run(make())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_else_made_is_taken(tmp_path: Path) -> None:
    """A file that no call began is finished."""
    (tmp_path / "out").write_text("by hand")

    @cs.task(cache=cs.FileExists(tmp_path / "out"))
    def make() -> None:
        raise AssertionError("called")

    assert cs.run(make()) == tmp_path / "out"


def test_a_file_is_made_once_for_all_who_ask(tmp_path: Path) -> None:
    """Who asks while a file is being made waits for it, and has the path."""
    path = tmp_path / "out"

    @cs.task(cache=cs.FileExists(path))
    async def make() -> str:
        CALLS.append("make")
        path.write_text("half")
        await asyncio.sleep(0.01)
        path.write_text("whole")
        return "made"

    assert cs.run([make(), make(), make()]) == ["made", path, path]
    assert CALLS == ["make"]


def test_retries_and_loops_finish_a_file(tmp_path: Path) -> None:
    """A call that succeeds at its second attempt, and one that returns another call, leave a finished file."""
    path, looped = tmp_path / "out", tmp_path / "looped"

    @cs.task(cache=cs.FileExists(path), retry=cs.RetryPolicy(1))
    def make() -> Any:
        CALLS.append("make")
        path.write_text("x")
        if len(CALLS) == 1:
            raise OSError("once")
        return "made"

    @cs.task(cache=cs.FileExists(looped))
    def loop(n: int) -> Any:
        looped.write_text(str(n))
        return loop(n - 1).with_cache(cs.FileExists(tmp_path / f"looped{n}")) if n else n

    assert cs.run(make()) == "made"
    assert cs.run(make()) == path
    assert cs.run(loop(3)) == 0
    assert cs.run(loop(3)) == looped
    assert marks(tmp_path) == []


MAKER = """
    import os, sys, time
    from pathlib import Path
    import cascade as cs

    path = Path(sys.argv[1])

    @cs.task(cache=cs.FileExists(path), mode=sys.argv[2])
    def make(seconds):
        with path.open("w") as file:
            file.write("half")
            file.flush()
            print("begun", flush=True)
            time.sleep(seconds)
            file.write(" whole")
        return "made"

    print(cs.run(make(float(sys.argv[3]))), flush=True)
"""


def begin(path: Path, mode: str, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(MAKER), str(path), mode, str(seconds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("mode", ["inline", "thread"])
def test_a_file_of_a_process_that_was_killed_is_made_again(tmp_path: Path, mode: str) -> None:
    """A file that a killed process left half-written is not taken by the next one."""
    path = tmp_path / "out"
    with begin(path, mode, 60) as killed:
        assert killed.stdout is not None
        assert killed.stdout.readline() == "begun\n"
        killed.send_signal(signal.SIGKILL)
    assert path.read_text() == "half"
    for told in ("begun\nmade\n", f"{path}\n"):
        with begin(path, mode, 0) as maker:
            assert maker.communicate()[0] == told
    assert path.read_text() == "half whole"
    assert marks(tmp_path) == []


def test_a_process_waits_for_another_one_that_makes_the_file(tmp_path: Path) -> None:
    """While one process makes a file, another one neither takes it nor makes it."""
    path = tmp_path / "out"
    with begin(path, "thread", 1) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "begun\n"
        with begin(path, "thread", 0) as second:
            assert second.communicate()[0] == f"{path}\n"
        assert first.communicate()[0] == "made\n"
    assert path.read_text() == "half whole"
