"""The conformance suite of executors: a call gives its value or its error, and has ended when `execute` returns."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from cascade.graph.build import build_graph
from cascade.runtime.protocols import Executor
from cascade.spec.lazy_types import Lazy, LazyResult
from cascade.testing.conformance.sample_tasks import (
    PATIENCE,
    fail,
    fail_later,
    give,
    give_later,
    linger,
    linger_later,
    show,
)


class ExecutorConformance:
    """Tests for an `Executor`. Subclass it and say in `make_executor` how to make one.

    The tasks of the suite stand at the top of an importable module and take plain data, so an executor may make
    their calls in any process of this machine. Each test runs in an event loop of its own.
    """

    runs_beside_the_loop = True
    """Whether a plain `def` leaves the event loop free. An executor that calls it on the loop itself says `False`."""

    def make_executor(self) -> Executor:
        """Return an executor; the test closes it at the end with `close_executor`."""
        raise NotImplementedError("say in make_executor how to make an executor")

    async def close_executor(self, executor: Executor) -> None:
        """Release what `make_executor` opened; by default what the executor's own `close` does, if it has one."""
        close = getattr(executor, "close", None)
        if close is not None:
            await close()

    def test_a_call_gives_its_value(self) -> None:
        """The value of a `def` and of an `async def` come back, `None` like any other."""

        async def check(executor: Executor) -> None:
            assert await _execute(executor, give(1)) == 1
            assert await _execute(executor, give_later(1)) == 1
            assert await _execute(executor, give(None)) is None

        self._run(check)

    def test_arguments_come_as_they_are_given(self) -> None:
        """Positional and named arguments, nested data among them, arrive equal and in their places."""

        async def check(executor: Executor) -> None:
            value = await _execute(executor, show(1, [2, {"k": (3,)}], y="4", z=None))
            assert value == ((1, [2, {"k": (3,)}]), {"y": "4", "z": None})

        self._run(check)

    def test_the_arguments_are_those_of_the_call(self) -> None:
        """The executor uses the arguments that it is given, not those that a lazy result was written with."""

        async def check(executor: Executor) -> None:
            node = build_graph(give("written")).nodes[0]
            assert await executor.execute(node, ("resolved",), {}) == "resolved"
            assert await executor.execute(node, (), {"value": "named"}) == "named"

        self._run(check)

    def test_an_exception_comes_back(self) -> None:
        """What a function raises is raised, of its type and with its arguments."""

        async def check(executor: Executor) -> None:
            for call in (fail("told"), fail_later("told")):
                raised = (await asyncio.gather(_execute(executor, call), return_exceptions=True))[0]
                assert type(raised) is ZeroDivisionError
                assert raised.args == ("told",)

        self._run(check)

    def test_calls_run_at_the_same_time(self) -> None:
        """Many calls may be under way at once, and each gets its own value."""

        async def check(executor: Executor) -> None:
            calls = [call(number) for number in range(20) for call in (give, give_later)]
            values = await asyncio.gather(*(_execute(executor, call) for call in calls))
            assert values == [number for number in range(20) for _ in range(2)]

        self._run(check)

    def test_a_cancelled_coroutine_has_ended(self) -> None:
        """When `execute` of an `async def` returns after being cancelled, the call is over."""
        self._run(lambda executor: _cancel(executor, linger_later))

    def test_a_cancelled_function_has_ended(self) -> None:
        """When `execute` of a `def` returns after being cancelled, the call is over: its slot may be given on."""
        if self.runs_beside_the_loop:
            self._run(lambda executor: _cancel(executor, linger))

    def _run(self, check: Callable[[Executor], Awaitable[None]]) -> None:
        async def main() -> None:
            executor = self.make_executor()
            try:
                await check(executor)
            finally:
                await self.close_executor(executor)

        asyncio.run(main())


async def _execute(executor: Executor, call: Lazy) -> object:
    return await executor.execute(build_graph(call).nodes[0], call.args, call.kwargs)


async def _cancel(executor: Executor, call: Callable[[str], LazyResult[None]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        executing = asyncio.ensure_future(_execute(executor, call(name)))
        ends = time.monotonic() + PATIENCE
        while not (folder / "began").exists():
            assert time.monotonic() < ends, "the call does not begin"
            await asyncio.sleep(0.001)
        executing.cancel()
        going = asyncio.get_running_loop().call_later(0.05, (folder / "go").touch)
        await asyncio.wait([executing])
        going.cancel()
        is_over = (folder / "ended").exists() or not _lives(int((folder / "began").read_text()))
        assert is_over, "execute has returned, and the call is still under way"
        assert executing.cancelled() or executing.exception() is None


def _lives(process: int) -> bool:
    """Tell whether there is a process of that number; an executor may end a call with the process that makes it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
