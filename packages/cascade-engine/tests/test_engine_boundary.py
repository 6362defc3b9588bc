"""Claims about what crosses to other processes: whatever it does there, it fails one call with an error of its own."""

from __future__ import annotations

import asyncio
import importlib
import os
import pickle
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    RemoteError,
    WorkerDiedError,
    WorkerLoadError,
)
from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import TaskTimeoutError

MODULE = '''
import functools
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cascade as cs


class WithCode(Exception):
    def __init__(self, code, *, where):
        super().__init__(f"code {code}")
        self.code, self.where = code, where


class Quiet(Exception):
    def __init__(self, code):
        super().__init__(f"code {code}")


class WithSlots(Exception):
    __slots__ = ("left",)

    def __init__(self, left):
        self.left = left


@dataclass(frozen=True)
class Frozen(Exception):
    name: str
    size: int = 3


@dataclass(frozen=True, slots=True)
class FrozenSlots(Exception):
    name: str


class Refused(OSError):
    def __init__(self, host):
        super().__init__(13, "refused", host)
        self.host = host


class Left(SystemExit):
    def __init__(self, why, code):
        super().__init__(code)
        self.why = why


class Holds(Exception):
    """Holds what can't be pickled."""

    def __init__(self):
        super().__init__("held")
        self.file = sys.stdout


class Unloadable(Exception):
    def __reduce__(self):
        return int, ("no number",)


class Exits(Exception):
    def __reduce__(self):
        return sys.exit, (9,)


class Silent(Exception):
    def __str__(self):
        raise KeyboardInterrupt


def make(name):
    if name == "group":
        return ExceptionGroup("both", [WithCode(1, where="a"), Frozen("b")])
    if name == "local":
        class Local(Exception):
            pass
        return Local("mine")
    if name == "unicode":
        return UnicodeDecodeError("utf-8", b"abc", 0, 1, "broken")
    if name == "timeout":
        from cascade.runtime import TaskTimeoutError
        return TaskTimeoutError("inner", 2.0)
    if name == "store":
        from cascade.spec.errors import StoreNotFoundError
        return StoreNotFoundError("s.db", "is not there")
    return {
        "code": lambda: WithCode(7, where="here"),
        "quiet": lambda: Quiet(5),
        "slots": lambda: WithSlots(8),
        "frozen": lambda: Frozen("f"),
        "frozen slots": lambda: FrozenSlots("s"),
        "os": lambda: Refused("db"),
        "exit": lambda: Left("done", 4),
        "import": lambda: ImportError("no", name="n", path="p"),
        "holds": Holds,
        "unloadable": lambda: Unloadable("u"),
        "exits": lambda: Exits("e"),
        "silent": lambda: Silent("s"),
    }[name]()


@cs.task(mode="process")
def fail(name):
    raise make(name)


@cs.task(mode="process")
def fail_because():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise Holds() from error


class Bomb:
    """Explodes where it is made anew."""

    def __init__(self, how):
        self.how = how

    def __reduce__(self):
        if self.how == "pickling":
            raise RuntimeError("not me")
        return explode, (self.how,)


def explode(how):
    if how == "exit":
        sys.exit(5)
    raise LookupError("boom")


@cs.task(mode="process")
def give_bomb(how):
    return Bomb(how)


@cs.task(mode="process")
def take(x, y=0):
    return y


@cs.task
def take_anywhere(y):
    return y


@cs.task(on="pool")
def take_on_pool(y):
    return y


@cs.task(on="pool", mode="thread")
def take_in_thread(y):
    return type(y).__name__


@cs.task(mode="process")
def good(x=0):
    return os.getpid()


@cs.task(mode="process")
def die(how):
    if how == "exit":
        os._exit(7)
    os.kill(os.getpid(), signal.SIGKILL)


@cs.task(mode="process")
def sleep(folder):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    Path(folder, "pids").write_text(f"{os.getpid()} {child.pid}")
    Path(folder, "pids").rename(Path(folder, "began"))
    time.sleep(60)


async def later(x):
    return x, os.getpid()


@cs.task(mode="process")
@functools.wraps(later)
def wrapped(x):
    return later(x)


@cs.task(mode="process")
def local_next():
    @cs.task
    def inner():
        pass
    return inner()
'''


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A module of tasks and classes that other processes can import."""
    folder = tmp_path_factory.mktemp("there")
    (folder / "tasks_there.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("tasks_there")
    finally:
        sys.path.remove(str(folder))
        del sys.modules["tasks_there"]


def failures_of(*targets: cs.LazyResult[Any], **settings: Any) -> list[BaseException]:
    """Run targets beside each other to their end and return what failed."""
    with pytest.raises(BaseExceptionGroup) as group:
        cs.run([*targets], on_failure="finish", **settings)
    return [*group.value.exceptions]


HOME = [
    "code",
    "quiet",
    "slots",
    "frozen",
    "frozen slots",
    "os",
    "import",
    "group",
    "unicode",
    "timeout",
    "store",
]


def facts_of(error: BaseException) -> object:
    inner = [facts_of(each) for each in error.exceptions] if isinstance(error, BaseExceptionGroup) else []
    names = (
        "code",
        "where",
        "left",
        "name",
        "size",
        "host",
        "errno",
        "filename",
        "why",
        "path",
        "seconds",
        "store",
    )
    known = {name: getattr(error, name) for name in names if hasattr(error, name)}
    return type(error), str(error), () if inner else error.args, known, inner


@pytest.mark.parametrize("name", HOME)
def test_an_exception_comes_home_as_it_was(there: Any, name: str) -> None:
    """Type, text, arguments and attributes of an exception are those that it had in the other process."""
    [error] = failures_of(there.fail(name), there.good())
    assert facts_of(error) == facts_of(there.make(name))


def test_an_exit_comes_home_as_it_was(there: Any) -> None:
    """A class below `SystemExit` with a constructor of its own keeps its code and its attributes."""
    with pytest.raises(SystemExit) as caught:
        cs.run(there.fail("exit"))
    assert facts_of(caught.value) == facts_of(there.make("exit"))


@pytest.mark.parametrize("name", ["holds", "unloadable", "exits", "silent", "local"])
def test_an_exception_that_cannot_travel_is_told_of(there: Any, name: str) -> None:
    """In place of an exception that can't be sent comes an error with its type, its text and its traceback."""
    made = there.make(name)
    [error] = failures_of(there.fail(name), there.good())
    if name == "silent":  # it can be sent, and only its text can't be had
        assert type(error) is there.Silent
        return
    assert isinstance(error, RemoteError)
    assert error.kind == f"tasks_there.{type(made).__qualname__}"
    assert error.text == str(made)
    assert "raise make(name)" in error.trace
    assert "raise make(name)" in "".join(error.__notes__)
    assert "task 'fail' raised tasks_there." in str(error)


def test_causes_are_told_of(there: Any) -> None:
    """The traceback of an exception that has a cause shows the cause as well."""
    with pytest.raises(RemoteError) as caught:
        cs.run(there.fail_because())
    assert "ZeroDivisionError" in caught.value.trace
    assert "The above exception was the direct cause" in caught.value.trace


@pytest.mark.parametrize("how", ["pickling", "exit", "lookup"])
def test_a_result_that_cannot_travel_fails_its_call(there: Any, how: str) -> None:
    """A result that can't be pickled there or made anew here is an error of that call, and of no other."""
    [error] = failures_of(there.give_bomb(how), *(there.good(n) for n in range(3)))
    assert isinstance(error, BoundaryError)
    assert error.what == "the result"
    assert error.task == "give_bomb"
    assert error.kind == {"pickling": "RuntimeError", "exit": "SystemExit", "lookup": "LookupError"}[how]


@pytest.mark.parametrize("how", ["pickling", "exit", "lookup"])
def test_an_argument_that_cannot_travel_fails_its_call(there: Any, how: str) -> None:
    """An argument that can't be pickled here or made anew there is an error of that call, and of no other."""
    [error] = failures_of(there.take(1, y=there.Bomb(how)), *(there.good(n) for n in range(3)))
    assert isinstance(error, BoundaryError)
    assert error.what == ("argument 'y'" if how == "pickling" else "an argument")


def test_a_mode_is_the_remedy_for_what_cannot_travel_to_a_process(there: Any) -> None:
    """It has the call made here, also if `on=` names a pool of this machine."""
    bomb, pool = there.Bomb("pickling"), {"pool": "processes:1"}
    for call, settings in (
        (there.take(1, y=bomb), {}),
        (there.take_anywhere(bomb), {"executor": "processes:1"}),
        (there.take_on_pool(bomb), {"executors": pool}),
    ):
        with pytest.raises(BoundaryError, match=r'or write @cs\.task\(mode="thread"\)\n'):
            cs.run(call, **settings)
    assert cs.run(there.take_in_thread(bomb), executors=pool) == "Bomb"


def test_a_lazy_result_that_cannot_travel_names_its_task(there: Any) -> None:
    """A call that another process returns names the task in it that this one could not find."""
    with pytest.raises(BoundaryError, match=r"the result of task 'local_next'.*task 'inner' can't be found"):
        cs.run(there.local_next())


@pytest.mark.parametrize("how", ["exit", "kill"])
def test_a_worker_that_dies_fails_its_call_alone(there: Any, how: str) -> None:
    """A process that ends during a call fails that call with its exit code; others go on, and the next gets another."""
    [error] = failures_of(there.die(how), *(there.good(n) for n in range(4)))
    assert isinstance(error, WorkerDiedError)
    assert error.exit_code == (7 if how == "exit" else -9)
    assert "task 'die'" in str(error)


def test_a_retry_gets_another_worker(there: Any) -> None:
    """After a process has died a retry of the call is made in another one."""
    with pytest.raises(WorkerDiedError):
        cs.run(there.die("exit").with_retry(2))


async def _until(path: Path) -> None:
    ends = time.monotonic() + 240
    while not path.exists():
        assert time.monotonic() < ends
        await asyncio.sleep(0.005)


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended; one that nobody has waited for yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(*pids: int) -> None:
    """Wait until processes have ended."""
    ends = time.monotonic() + 240
    while not all(map(is_gone, pids)):
        assert time.monotonic() < ends, f"one of {pids} lives on"
        time.sleep(0.01)


async def test_a_timeout_ends_the_call(there: Any, tmp_path: Path) -> None:
    """A call in a process that takes too long is ended, with what it has started; the pool serves on."""
    async with cs.Engine(executor=(executor := LocalExecutor(processes=1))) as engine:
        with pytest.raises(TaskTimeoutError):
            await engine.run(there.sleep(str(tmp_path)).with_timeout(2))
        if (tmp_path / "began").exists():  # not so on a machine that is busy with other things
            wait_until_gone(*map(int, (tmp_path / "began").read_text().split()))
        assert await engine.run(there.good()) != os.getpid()
    await executor.close()


async def test_a_cancellation_ends_the_call(there: Any, tmp_path: Path) -> None:
    """Cancelling a run ends its calls in other processes, which are gone when the run is."""
    running = asyncio.create_task(cs.arun(there.sleep(str(tmp_path))))
    await _until(tmp_path / "began")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    wait_until_gone(*map(int, (tmp_path / "began").read_text().split()))


def test_the_start_of_a_process_is_not_timed(there: Any) -> None:
    """A timeout does not begin before the process is there: a call that takes nothing is in time."""
    assert cs.run(there.good().with_timeout(0.05).with_retry(3, on=TaskTimeoutError)) != os.getpid()


def test_errors_of_tasks_can_be_pickled() -> None:
    """An error that is of the engine and of another builtin kind survives pickling."""
    error = pickle.loads(pickle.dumps(TaskTimeoutError("slow", 1.5)))
    assert type(error) is TaskTimeoutError
    assert (error.task, error.seconds, str(error)) == ("slow", 1.5, str(TaskTimeoutError("slow", 1.5)))


def test_a_module_that_is_gone_is_named(there: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task whose module another process can't import fails its call, with the reason."""
    file = tmp_path / "tasks_gone.py"
    file.write_text("import cascade as cs\n@cs.task(mode='process')\ndef f(): pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("tasks_gone")
    file.write_text("raise OSError('not today')\n")
    with pytest.raises(
        WorkerLoadError, match=r"task 'f' can't be loaded as tasks_gone\.f.*OSError: not today"
    ):
        cs.run(module.f())
    monkeypatch.delitem(sys.modules, "tasks_gone")
