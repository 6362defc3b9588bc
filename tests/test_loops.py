"""Claims about the loops of asynchronous tests: a mark gives the clock, and what is left running fails the test."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import pytest
from support.clock import spend
from support.loops import SteppedTimeLoop, now, pass_time

from cascade.testing import VirtualTimeError, VirtualTimeLoop

pytest_plugins = ["pytester"]


async def test_without_a_mark_the_loop_is_an_ordinary_one() -> None:
    """A test that says nothing runs on a loop whose clock is the machine's."""
    assert type(asyncio.get_running_loop()).time is asyncio.BaseEventLoop.time


@pytest.mark.virtual_time
async def test_virtual_time_jumps() -> None:
    """On the virtual clock an hour is there at once."""
    assert isinstance(asyncio.get_running_loop(), VirtualTimeLoop)
    await asyncio.sleep(3600)
    assert now() == 3600


@pytest.mark.virtual_time
async def test_virtual_time_refuses_a_thread() -> None:
    """On the virtual clock a thread is refused by name."""
    with pytest.raises(VirtualTimeError, match="the test uses a thread"):
        await asyncio.to_thread(int)


@pytest.mark.virtual_time
async def test_no_time_slice_ends_on_the_virtual_clock() -> None:
    """The engine's clock stands still, but where a call spends time: the machine's speed changes no order."""
    began = time.monotonic()
    while time.perf_counter_ns() % 1000 > 500:
        pass
    assert time.monotonic() == began
    spend(3)
    assert time.monotonic() == began + 3


@pytest.mark.idle_time
async def test_idle_time_counts_what_the_loop_waits() -> None:
    """Timers take as long as they say by this clock, and what holds the loop meanwhile takes no time."""
    loop, gone = asyncio.get_running_loop(), asyncio.Event()
    began = now()
    time.sleep(0.05)  # noqa: ASYNC251 - holds the loop
    await asyncio.sleep(0)
    assert now() - began < 0.05
    began = now()
    await asyncio.sleep(0.02)
    assert now() - began == pytest.approx(0.02, abs=1e-6)
    timer = threading.Timer(0.02, loop.call_soon_threadsafe, [gone.set])
    began = now()
    timer.start()
    await gone.wait()
    timer.join()
    assert now() - began > 0


@pytest.mark.stepped_time
async def test_stepped_time_moves_when_it_is_told_to() -> None:
    """Timers fire within `pass_time`, each at its own time, and a thread may take as long as it wants before."""
    loop, began, fired = asyncio.get_running_loop(), asyncio.Event(), list[float]()
    assert isinstance(loop, SteppedTimeLoop)
    for seconds in (7, 5, 11):
        loop.call_later(seconds, lambda: fired.append(now()))
    timer = threading.Timer(0.01, loop.call_soon_threadsafe, [began.set])
    timer.start()
    await began.wait()
    timer.join()
    assert (now(), fired) == (0, [])
    await pass_time(10)
    assert (now(), fired) == (10, [5, 7])


def test_what_is_left_running_fails_the_test(pytester: pytest.Pytester) -> None:
    """An asyncio task that outlives its test fails it and is named, though closing the loop would cancel it."""
    pytester.makepyfile(
        """
        import asyncio

        async def test_leaves_one() -> None:
            running = asyncio.create_task(asyncio.sleep(60), name="the one left")

        async def test_leaves_none() -> None:
            await asyncio.create_task(asyncio.sleep(0))
        """
    )
    support = ["-p", "support.loops", "-o", f"pythonpath={Path(__file__).parent}"]
    options = ["-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function"]
    told = pytester.runpytest_subprocess("-p", "no:cacheprovider", *support, *options)
    told.assert_outcomes(passed=1, failed=1)
    told.stdout.fnmatch_lines(["*still running: *the one left*"])
