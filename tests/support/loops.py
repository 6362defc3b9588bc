"""The event loops of asynchronous tests: an ordinary one, or one with a clock of its own if a mark asks for it.

- `virtual_time`: the clock jumps to the next timer. A test that uses a thread, a process or a socket fails.
- `stepped_time`: the clock stands still until the test calls `pass_time`. So a test can let a thread get as far as
  it must before a timeout fires, however slow the machine is.
- `idle_time`: the clock counts only the time that the loop waits, and for no longer than it means to. So a test with
  sockets can say within how many seconds something ends: a busy machine makes nothing late by this clock.

A test whose asyncio tasks outlive it fails, before its loop is closed and cancels them.
"""

from __future__ import annotations

import asyncio
import importlib.util
import selectors
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from contextlib import nullcontext

import pytest

from support.clock import still_clock

if importlib.util.find_spec("pytest_asyncio") is None:  # an environment made before the tests needed it
    raise pytest.UsageError("the tests need pytest-asyncio: run `hatch run dev`, or install the group dev")

HANGS = 20.0
"""Real seconds without anything happening after which a loop with a stepped clock counts as hanging."""

_OPEN: weakref.WeakSet[asyncio.AbstractEventLoop] = weakref.WeakSet()


class _SteppedClock(selectors.DefaultSelector):
    """Lets the time pass up to `until`; beyond it only threads and signals wake the loop."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.until = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is not None and self.now + timeout <= self.until + 1e-9:
            self.now += timeout
            return ready
        ready = super().select(HANGS)
        if not ready:
            raise TimeoutError("the test waits for what never happens")
        return ready


class _IdleClock(selectors.DefaultSelector):
    """Counts the seconds that its loop waits."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        ready = super().select(timeout)
        waited = time.monotonic() - began
        if timeout is None or (ready and waited < timeout):
            self.now += waited
        else:
            self.now += max(0.0, timeout)  # the machine may have taken longer to wake the loop
        return ready


class IdleTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 and counts the time that it waits, and nothing else."""

    def __init__(self) -> None:
        self._clock = _IdleClock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class SteppedTimeLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock begins at 0 and moves only within `pass_time`."""

    def __init__(self) -> None:
        self._clock = _SteppedClock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    async def pass_time(self, seconds: float) -> None:
        """Let time pass: all timers of the next `seconds` fire, in their order and each at its time."""
        self._clock.until = self._clock.now + seconds
        await asyncio.sleep(seconds)


async def pass_time(seconds: float) -> None:
    """Let time pass in a test that is marked `stepped_time`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedTimeLoop), "mark the test: @pytest.mark.stepped_time"
    await loop.pass_time(seconds)


def now() -> float:
    """Return the seconds on the clock of the test's loop; one that a mark asks for begins at 0."""
    return asyncio.get_running_loop().time()


def _factory(item: pytest.Item) -> Callable[[], asyncio.AbstractEventLoop]:
    if item.get_closest_marker("virtual_time"):
        # The tests of the wheels below the engine have no `cascade.testing`, and need none.
        from cascade.testing import VirtualTimeLoop

        return VirtualTimeLoop
    if item.get_closest_marker("idle_time"):
        return IdleTimeLoop
    return SteppedTimeLoop if item.get_closest_marker("stepped_time") else asyncio.new_event_loop


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the one loop factory of a test; pytest-asyncio asks for it."""
    make = _factory(item)

    def made() -> asyncio.AbstractEventLoop:
        loop = make()
        _OPEN.add(loop)
        return loop

    return {"loop": made}


@pytest.fixture(autouse=True)
def slices_stand_still(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let no time slice of the engine end in a test with virtual time, but where the test spends time in a call.

    So what shares a slice does not depend on the machine, and neither does the order of calls.
    """
    with still_clock() if request.node.get_closest_marker("virtual_time") else nullcontext():
        yield


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, object, object]:
    """Fail a test that has passed and left asyncio tasks running."""
    outcome = yield
    left = [task for loop in _OPEN if not loop.is_closed() for task in asyncio.all_tasks(loop)]
    assert not left, f"still running: {left}"
    return outcome
