"""Claims about virtual time: the clock jumps, a seed draws the order, and what takes real time is refused by name."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.testing import VirtualTimeError, VirtualTimeLoop, run_in_virtual_time


@cs.task
async def nap(seconds: float, name: str, woken: list[str]) -> str:
    await asyncio.sleep(seconds)
    woken.append(name)
    return name


def test_an_hour_takes_no_time() -> None:
    """Sleeping moves the loop's clock on by just so much, from 0, and waits for nothing."""

    async def sleep() -> float:
        await asyncio.sleep(3600)
        await asyncio.sleep(0.25)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_in_virtual_time(sleep()) == 3600.25
    assert time.monotonic() - began < 60


def test_timers_fire_in_their_order() -> None:
    """What sleeps for less wakes earlier, whatever was begun first."""
    woken: list[str] = []
    naps = [nap(seconds, str(seconds), woken) for seconds in (3, 1, 2)]
    assert run_in_virtual_time(cs.arun(naps)) == ["3", "1", "2"]
    assert woken == ["1", "2", "3"]


def test_retries_and_timeouts_need_no_waiting() -> None:
    """A retry with long waits and a timeout of an hour are tested in no time, to the second."""
    tries: list[float] = []

    @cs.task
    async def call() -> None:
        tries.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600)

    with pytest.raises(cs.CascadeError, match="took longer than"):
        run_in_virtual_time(cs.arun(call().with_retry(2, delay=60, backoff=2).with_timeout(600)))
    assert tries == [0, 660, 1380]


def order_of(seed: int | None) -> str:
    woken: list[str] = []

    async def wake(name: str) -> None:
        await asyncio.sleep(1)
        woken.append(name)

    async def main() -> None:
        # No run of ours: on a busy machine a run lets others have a turn more often, and so draws more often.
        await asyncio.gather(*map(wake, "abcdefgh"))

    run_in_virtual_time(main(), seed=seed)
    return "".join(woken)


def test_a_seed_draws_the_order() -> None:
    """Calls that are ready at one time run in an order that the seed draws: for one seed always the same."""
    orders = [order_of(seed) for seed in range(12)]
    assert orders == [order_of(seed) for seed in range(12)]
    assert len(set(orders)) > 6
    assert {"".join(sorted(order)) for order in orders} == {"abcdefgh"}


def test_a_seed_starves_nobody() -> None:
    """Whatever is ready gets its turn before what is made ready later: a busy task does not keep others waiting."""

    async def busy(turns: list[int], others: asyncio.Event) -> None:
        while not others.is_set():
            turns.append(1)
            await asyncio.sleep(0)

    async def main() -> int:
        turns: list[int] = []
        done = asyncio.Event()
        work = asyncio.create_task(busy(turns, done))
        for _ in range(50):
            await asyncio.sleep(0)
        done.set()
        await work
        return len(turns)

    for seed in range(10):
        assert run_in_virtual_time(main(), seed=seed) <= 110


def test_what_is_cancelled_is_not_called() -> None:
    """A callback that is cancelled before its turn is never called, in any order."""

    async def main() -> list[int]:
        called: list[int] = []
        handles = [asyncio.get_running_loop().call_soon(called.append, n) for n in range(4)]
        handles[1].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return called

    assert sorted(run_in_virtual_time(main(), seed=3)) == [0, 2, 3]
    assert run_in_virtual_time(main()) == [0, 2, 3]


async def wait_for_ever() -> None:
    await asyncio.Event().wait()


async def use_a_thread() -> None:
    await asyncio.to_thread(int)


async def start_a_process() -> None:
    await asyncio.create_subprocess_exec("true")


async def open_a_socket() -> None:
    await asyncio.open_connection("127.0.0.1", 1)


async def serve() -> None:
    await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)


@cs.task(mode="thread")
def in_a_thread() -> None:
    time.sleep(0.01)


async def call_in_a_thread() -> None:
    await cs.arun(in_a_thread().with_timeout(3600))


REFUSED: list[tuple[Callable[[], Coroutine[Any, Any, None]], str]] = [
    (wait_for_ever, "waits for what never happens"),
    (use_a_thread, "uses a thread"),
    (call_in_a_thread, "thread 'cascade"),
    (start_a_process, "uses a process"),
    (open_a_socket, "uses a socket|uses a thread"),
    (serve, "uses a socket|uses a thread"),
]


@pytest.mark.parametrize(("work", "told"), REFUSED, ids=[case[0].__name__ for case in REFUSED])
@pytest.mark.parametrize("seed", [None, 1])
def test_what_takes_real_time_is_refused(
    work: Callable[[], Coroutine[Any, Any, None]], told: str, seed: int | None
) -> None:
    """A thread, a process, a socket or a wait without an end is an error that names it, not a wrong time."""
    with pytest.raises(VirtualTimeError, match=told) as caught:
        run_in_virtual_time(work(), seed=seed)
    assert isinstance(caught.value, cs.CascadeError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_store_with_a_thread_of_its_own_is_refused(tmp_path: Path) -> None:
    """A recorded run on SQLite, whose writer is a thread, is refused in virtual time."""
    woken: list[str] = []
    with pytest.raises(VirtualTimeError, match="thread"):
        run_in_virtual_time(
            cs.arun(nap(1, "a", woken), state=f"sqlite:///{tmp_path / 'runs.db'}", run_id="r")
        )


def test_the_loop_goes_with_a_runner() -> None:
    """`VirtualTimeLoop` is a loop factory, for `asyncio.Runner` and for what else takes one."""
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(10))
        assert runner.get_loop().time() == 10
