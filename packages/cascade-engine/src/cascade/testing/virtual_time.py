"""Virtual time: an event loop whose clock jumps to the next timer and does not wait for it.

So a test of retries, timeouts and timers takes no longer than its calls do, and waits are exact on a busy machine. With
a seed, callbacks that are ready at the same time run in an order that the seed draws.
"""

from __future__ import annotations

import asyncio
import random
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, NoReturn, TypeVar

from cascade.spec.errors import CascadeError
from cascade.spec.late_dataclasses import dataclass

T = TypeVar("T")


@dataclass(eq=False)
class VirtualTimeError(CascadeError, RuntimeError):
    """A test in virtual time uses what takes real time, or waits for what never happens."""

    problem: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.problem}; {self.remedy}"


_REAL = "virtual time has no threads, processes and sockets: use a real event loop for them"


def run_in_virtual_time(work: Coroutine[object, object, T], *, seed: int | None = None) -> T:
    """Run a coroutine in a `VirtualTimeLoop` of its own and return its value, as `asyncio.run` does.

    Raises:
        VirtualTimeError: If it uses a thread, a process or a socket, or waits for what never happens.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(seed)) as runner:
        return runner.run(work)


def _refusal(what: str) -> Any:  # stands for methods of many types
    def refuse(self: VirtualTimeLoop, *args: object, **kwargs: object) -> NoReturn:
        raise VirtualTimeError(f"the test uses {what}", _REAL)

    return refuse


_Callback = tuple[asyncio.Handle, Context, Callable[..., object], tuple[object, ...]]


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which begins at 0 and moves only where a real loop would wait.

    `time()` is that clock, in seconds. With a `seed` the callbacks that are ready run in an order drawn by it: each
    runs before any that is made ready later. A run of the engine lets other callbacks run by real time, so on a busy
    machine it may draw more often, and get another order from the same seed.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)
        self._order = None if seed is None else random.Random(seed)
        self._later: list[_Callback] = []
        self._drawn: list[_Callback] = []

    def time(self) -> float:
        return self._clock.now

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        if self._order is None:
            return super().call_soon(callback, *args, context=context)
        within = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self, within)
        self._later.append((handle, within, callback, args))
        super().call_soon(self._call_one, self._order, context=Context())
        return handle

    def _call_one(self, order: random.Random) -> None:
        """Call one of the callbacks that are ready. The loop calls this once for each of them."""
        if not self._drawn:
            self._drawn, self._later = self._later, []
            order.shuffle(self._drawn)
        handle, context, callback, args = self._drawn.pop()
        if not handle.cancelled():
            context.run(callback, *args)

    run_in_executor = _refusal("a thread")
    getaddrinfo = _refusal("a thread")
    getnameinfo = _refusal("a thread")
    subprocess_exec = _refusal("a process")
    subprocess_shell = _refusal("a process")
    connect_read_pipe = _refusal("a pipe")
    connect_write_pipe = _refusal("a pipe")
    add_reader = _refusal("a socket")
    add_writer = _refusal("a socket")
    create_connection = _refusal("a socket")
    create_server = _refusal("a socket")
    create_datagram_endpoint = _refusal("a socket")
    create_unix_connection = _refusal("a socket")
    create_unix_server = _refusal("a socket")
    sock_recv = _refusal("a socket")
    sock_recv_into = _refusal("a socket")
    sock_sendall = _refusal("a socket")
    sock_connect = _refusal("a socket")
    sock_accept = _refusal("a socket")


class _Clock(selectors.DefaultSelector):
    """Moves the time on when a real selector would wait.

    Once it has refused something it waits like a real one, so that what was begun can end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._refused = False
        self._threads = set(threading.enumerate())

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._refused:
            began = time.monotonic()
            ready = super().select(timeout)
            self.now += time.monotonic() - began
            return ready
        ready = super().select(0)
        if not ready and timeout != 0:
            self._check(timeout)
            self.now += timeout or 0.0
        return ready

    def _check(self, timeout: float | None) -> None:
        """Refuse to move the time on while a thread runs beside the loop, or if no timer is set."""
        beside = sorted(each.name for each in set(threading.enumerate()) - self._threads)
        if beside:
            self._refused = True
            raise VirtualTimeError(f"thread '{beside[0]}' runs beside the test", _REAL)
        if timeout is None:
            self._refused = True
            raise VirtualTimeError(
                "the test waits for what never happens: nothing is ready, and no timer is set",
                "look for tasks that wait for each other",
            )
