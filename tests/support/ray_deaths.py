"""Programs whose Ray is killed, each to be run in a process of its own; they print what they see.

`which` names the processes of Ray that are killed. Each program is about something when that happens, and then uses
the same engine again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import ray

import cascade as cs
from cascade.adapters.executors.boundary_errors import ClusterGoneError
from cascade.adapters.executors.handles import HandleLostError
from cascade.adapters.executors.ray import RayExecutor
from support.ray_programs import client_server, make, measure, node_of, say
from support.remote_tasks import square

PROCESSES = {"raylet": ["raylet"], "gcs": ["gcs_server"], "both": ["gcs_server", "raylet"]}

QUIET: dict[str, Any] = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}


def kill(which: str, parent: int | None = None) -> None:
    """Kill processes of the Ray that a process has started, with no chance to say anything; wait for their ends."""
    killed = []
    for process in _children(os.getpid() if parent is None else parent):
        program = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")[0].decode()
        if Path(program).name in PROCESSES[which]:
            os.kill(process, signal.SIGKILL)
            killed.append(process)
    assert killed
    while any(_lives(process) for process in killed):
        time.sleep(0.01)


def _lives(process: int) -> bool:
    """Tell whether a process has threads: those of a dead one keep its sockets open for a moment."""
    try:
        state, *_, threads = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()[:18]
    except OSError:
        return False
    return state not in "ZX" or int(threads) > 1


def _children(process: int) -> list[int]:
    threads = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for thread in threads for child in thread.read_text().split()]


@cs.task
def hang_once(path: str, number: int) -> int:
    """The call with number 0 takes long if nobody has made it before."""
    if number == 0 and not Path(path).exists():
        Path(path).touch()
        time.sleep(600)
    return number


@cs.task
def hang_then_add(path: str, number: int) -> int:
    given: int = hang_once.func(path, number)
    return given + 1


async def begun(path: str) -> None:
    """Wait until the call has begun that takes long."""
    while not Path(path).exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.05)


async def told(work: Coroutine[Any, Any, object]) -> None:
    """Say what comes of it."""
    try:
        say(await work)
    except ExceptionGroup as error:
        say(*sorted({type(each).__name__ for each in error.exceptions}))
    except (ClusterGoneError, HandleLostError) as error:
        say(type(error).__name__)


async def killed_while(which: str, path: str, work: Coroutine[Any, Any, object]) -> None:
    """Kill Ray while a call is under way, and say what comes of it."""
    asking = asyncio.create_task(told(work))
    await begun(path)
    kill(which)
    await asking
    Path(path).unlink()


async def _calls(which: str, path: str, engine: cs.Engine) -> None:
    """Kill it during a call, while calls that follow each other are under way, and before the engine is closed."""
    await killed_while(which, path, engine.run(hang_once(path, 0)))
    say(await engine.run(square(3)))
    lazy = hang_then_add(path, hang_then_add(path, hang_then_add(path, -1)))
    await killed_while(which, path, engine.run(lazy))
    say(await engine.run(square(4)))
    kill(which)


async def _maps(which: str, path: str, engine: cs.Engine) -> None:
    """Kill it during the items of a map, which fail, or are made again."""
    mapped = hang_once.partial(path=path).map(number=range(200))
    await killed_while(which, path, engine.run(mapped, on_failure="finish"))
    again = hang_once.partial(path=path).map(number=range(200)).with_retry(1)
    asking = asyncio.create_task(engine.run(again))
    await begun(path)
    kill(which)
    say(await asking == [*range(200)])


async def _between(which: str, path: str, engine: cs.Engine) -> None:
    """Kill it when nothing is under way; twice, so that it is not the first Ray that is special."""
    for number in (3, 4):
        kill(which)
        say(await engine.run(square(number)))


OWN = {each.__name__.strip("_"): each for each in (_calls, _maps, _between)}


def own_ray(which: str, moment: str) -> None:
    """Let an engine have a Ray of its own."""

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with cs.Engine(executor="ray") as engine:
                say(await engine.run(square(2)))
                await OWN[moment](which, str(Path(folder) / "begun"), engine)
            say("closed", ray.is_initialized())

    asyncio.run(main())


def values(which: str) -> None:
    """Kill it when values have stayed there. Ask for them before and after another Ray has been started.

    They are small enough to be kept outside of Ray's store: a process that has used that may be ended by Ray itself.
    """

    async def main() -> None:
        careless, careful = RayExecutor(), RayExecutor(on_lost="rerun")
        for executor in (careless, careful):
            handles: list[Any] = [
                await executor.execute_to_handle(node_of(make), (50_000 + number,), {}) for number in range(2)
            ]
            kill(which)
            await told(_size_of(handles[0].fetch()))
            await told(executor.execute(node_of(measure), (handles[1],), {}))
            await told(_size_of(handles[1].fetch()))
        await careless.close()
        await careful.close()

    asyncio.run(main())


async def _size_of(fetching: Coroutine[Any, Any, Any]) -> int:
    return len(await fetching)


def exit_without_close(which: str) -> None:
    """Kill it, and end."""
    say(cs.run(square(2), executor=RayExecutor()))
    kill(which)


def rays_of_programs(which: str) -> None:
    """Kill the Ray that the program has initialised. It may initialise another one."""
    options: dict[str, Any] = {"num_cpus": 1, **QUIET}
    ray.init("local", **options)

    async def main() -> None:
        async with cs.Engine(executor="ray") as engine:
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "begun")
                await killed_while(which, path, engine.run(hang_once(path, 0)))
            await told(engine.run(square(3)))
            ray.shutdown()
            ray.init("local", **options)
            say(await engine.run(square(4)))
        say(ray.is_initialized())
        ray.shutdown()

    asyncio.run(main())


def client() -> None:
    """Kill a cluster that this process is a client of."""

    async def main(word: str, end: Callable[[], object]) -> None:
        async with cs.Engine(executor=word) as engine:
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "begun")
                asking = asyncio.create_task(told(engine.run(hang_once(path, 0))))
                await begun(path)
                end()
                await asking
            await told(engine.run(square(3)))

    with client_server() as (word, end):
        asyncio.run(main(word, end))


def idle(which: str) -> None:
    """Kill it, and do nothing for longer than Ray lets a process live without its control service."""

    async def main() -> None:
        async with cs.Engine(executor="ray") as engine:
            say(await engine.run(square(2)))
            kill(which)
            await asyncio.sleep(75)
            say(await engine.run(square(3)))

    asyncio.run(main())


_HEAD = """
import logging, ray, sys
ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def address(which: str) -> None:
    """Kill a Ray that this process is connected to by its address."""
    paths = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    head = subprocess.Popen(
        [sys.executable, "-c", _HEAD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=paths,
        text=True,
    )
    assert head.stdout is not None
    where = head.stdout.readline().strip()

    async def main() -> None:
        async with cs.Engine(executor=RayExecutor(where)) as engine:
            with tempfile.TemporaryDirectory() as folder:
                path = str(Path(folder) / "begun")
                say(await engine.run(square(2)))
                asking = asyncio.create_task(told(engine.run(hang_once(path, 0))))
                await begun(path)
                kill(which, head.pid)
                await asking
            await told(engine.run(square(3)))

    try:
        asyncio.run(main())
    finally:
        head.kill()
        head.wait()
