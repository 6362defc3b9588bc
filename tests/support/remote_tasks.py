"""Tasks that workers of a cluster import, for the tests of executors whose workers may be anywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from pathlib import Path
from typing import NoReturn

import cascade as cs


class Odd(Exception):  # noqa: N818 - what is odd is how it is made
    """An exception whose `__init__` does not take its `args`."""

    def __init__(self, what: str, *, code: int) -> None:
        super().__init__(f"{what} ({code})")
        self.code = code


class Stubborn(Exception):  # noqa: N818 - as above
    """An exception that can't be pickled."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.lock = threading.Lock()


class Trap:
    """An object that raises where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return _spring, ()


class Deadly:
    """A value whose worker dies when it is told to: after its report, and before the cluster knows of the value."""

    def __init__(self, go: str, died: str) -> None:
        self.go, self.died, self.content = Path(go), Path(died), bytes(100_000)

    def __sizeof__(self) -> int:
        if not self.died.exists():
            while not self.go.exists():
                time.sleep(0.01)
            self.died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 100_000


def _spring() -> NoReturn:
    raise SystemExit("sprung")


@cs.task
def square(x: int) -> int:
    return x * x


@cs.task
def add(x: int, y: int) -> int:
    return x + y


@cs.task
def fail(what: str) -> NoReturn:
    raise Odd(what, code=7)


@cs.task
def fail_stubbornly(what: str) -> NoReturn:
    raise Stubborn(what)


@cs.task
def fail_first(folder: str) -> int:
    """Fail at the first call, by what stands in the folder."""
    mark = Path(folder, "called")
    with mark.open("a") as file:
        file.write("x")
    if mark.read_text() == "x":
        raise OSError("the first call")
    return 5


@cs.task
def count_down(n: int) -> int | cs.LazyResult[int]:
    return count_down(n - 1) if n else 0


@cs.task
def both(n: int) -> list[object]:
    return [square(n), n]


@cs.task
def give_lock() -> object:
    return threading.Lock()


@cs.task
def give_trap() -> object:
    return Trap()


@cs.task
def take(value: object) -> str:
    return type(value).__name__


@cs.task
def blob(size: int) -> bytes:
    return bytes(size)


@cs.task
def length(value: bytes) -> int:
    return len(value)


@cs.task
def where() -> tuple[int, int]:
    """Return the process and its parent."""
    return os.getpid(), os.getppid()


@cs.task
def facts(x: int = 0) -> tuple[str, str, int | None, int]:
    call = cs.current_call()
    return call.run_id, call.task, call.item, call.attempt


@cs.task
def note(path: str, text: str) -> str:
    with Path(path).open("a") as file:
        file.write(text)
    return text


@cs.task
def hold(path: str, seconds: float) -> str:
    """Say that it runs, and go on for a while."""
    with Path(path).open("a") as file:
        file.write("b")
    time.sleep(seconds)
    with Path(path).open("a") as file:
        file.write("e")
    return "held"


@cs.task
def hold_until(begun: str, go: str) -> str:
    """Say that it runs, and go on until a file is there."""
    with Path(begun).open("a") as file:
        file.write("b")
    while not Path(go).exists():
        time.sleep(0.01)
    return "held"


@cs.task
def die(path: str) -> NoReturn:
    with Path(path).open("a") as file:
        file.write("x")
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


@cs.task
def die_first(path: str) -> int:
    """Die at the first call."""
    with Path(path).open("a") as file:
        file.write("x")
    if Path(path).read_text() == "x":
        os.kill(os.getpid(), signal.SIGKILL)
    return 5


@cs.task(on="far")
async def wait_there(x: int) -> tuple[int, int]:
    await asyncio.sleep(0)
    return x, os.getpid()


@cs.task
async def wait_here(x: int) -> tuple[int, int]:
    await asyncio.sleep(0)
    return x, os.getpid()


@cs.task
def make_deadly(go: str, died: str) -> Deadly:
    return Deadly(go, died)
