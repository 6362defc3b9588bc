"""The conformance suite of executors: a call gives its value or its error, and has ended when `execute` returns."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cascade.adapters.call_facts import CallFacts
from cascade.adapters.executors.call_places import UNKNOWN, CallPlace, Interruption
from cascade.adapters.executors.chunks import CallEnd, ChunkCall, Progress, execute_each
from cascade.graph.build import build_graph
from cascade.runtime.protocols import Executor
from cascade.spec.lazy_types import Lazy, LazyResult
from cascade.spec.task import AnyTask
from cascade.testing.conformance.interruptions import cancellation_effect, lives, timeout_effect
from cascade.testing.conformance.sample_tasks import (
    PATIENCE,
    Part,
    fail,
    fail_later,
    give,
    give_later,
    linger,
    linger_later,
    play,
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

    # The table of timeouts and cancellation

    def test_a_timeout_does_what_the_executor_says(self) -> None:
        """It ends the call, is refused before anything runs, or waits and says so: as `place_of` tells, if it is there.

        An executor without `place_of` may end the call or wait for it.
        """

        async def check(executor: Executor) -> None:
            for call in (linger, linger_later):
                effect = await timeout_effect(executor, call)
                place = _place(executor, call)
                assert effect is place.timeout or (place is UNKNOWN and effect is Interruption.ENDS)

        self._run(check)

    def test_a_cancellation_does_what_the_executor_says(self) -> None:
        """The same holds for a call whose run is cancelled."""

        async def check(executor: Executor) -> None:
            for call, is_beside in ((linger, self.runs_beside_the_loop), (linger_later, True)):
                effect = await cancellation_effect(executor, call, not is_beside)
                place = _place(executor, call)
                assert effect is place.cancellation or (place is UNKNOWN and effect is Interruption.ENDS)

        self._run(check)

    # Chunks: by the executor's own `execute_chunk`, or by `execute` for each call

    def test_each_call_of_a_chunk_has_its_own_end(self) -> None:
        """Values and exceptions come back call by call, each measured, and one failure leaves the others alone."""

        async def check(executor: Executor) -> None:
            calls = [play(Part.FAIL if number % 5 == 3 else Part.GIVE, number) for number in range(20)]
            ends = await _ends(executor, calls)
            assert sorted(ends) == [*range(20)]
            for number, end in ends.items():
                if number % 5 == 3:
                    assert type(end.error) is ZeroDivisionError
                    assert end.error.args == (number,)
                else:
                    assert end.error is None
                    assert end.value == number
                assert end.began <= end.ended <= time.monotonic()

        self._run(check)

    def test_calls_of_a_chunk_do_not_overlap(self) -> None:
        """The calls are made one after the other, in their order: a chunk holds what one call needs."""

        async def check(executor: Executor) -> None:
            ends = await _ends(executor, [play(Part.GIVE, number) for number in range(10)])
            in_order = [ends[position] for position in sorted(ends)]
            assert all(one.ended <= after.began for one, after in pairwise(in_order))

        self._run(check)

    def test_what_a_chunk_gives_back_has_not_begun(self) -> None:
        """A call that is given back, or has no end, was not made: the engine lets it be made elsewhere."""

        async def check(executor: Executor) -> None:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                slow, late = Path(name) / "slow", Path(name) / "late"
                calls = [play(Part.GIVE, number) for number in range(3)]
                calls += [play(Part.MARK, str(slow), 0.1), play(Part.MARK, str(late))]
                given_back: set[int] = set()
                ended: set[int] = set()
                async for progress in _chunk(executor, calls):
                    given_back.update(progress.given_back)
                    ended.update(end.position for end in progress.ends)
                assert not ended & given_back
                assert 0 in ended  # a slow machine may make the executor give back the others
                for position, file in ((3, slow), (4, late)):
                    assert (position in ended) == file.exists()

        self._run(check)

    def test_a_cancelled_chunk_has_ended(self) -> None:
        """When a chunk ends after being cancelled, its call under way is over and no other one begins."""
        if not self.runs_beside_the_loop:
            return

        async def check(executor: Executor) -> None:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
                late = Path(name) / "late"
                calls = [play(Part.LINGER, name), play(Part.MARK, str(late))]
                await _cancel_call(_ends(executor, calls), Path(name))
                assert not late.exists()

        self._run(check)

    def _run(self, check: Callable[[Executor], Awaitable[None]]) -> None:
        async def main() -> None:
            executor = self.make_executor()
            try:
                await check(executor)
            finally:
                await self.close_executor(executor)

        asyncio.run(main())


def _place(executor: Executor, task: AnyTask) -> CallPlace:
    tell: Callable[[AnyTask, None], CallPlace] | None = getattr(executor, "place_of", None)
    return UNKNOWN if tell is None else tell(task, None)


async def _execute(executor: Executor, call: Lazy) -> object:
    return await executor.execute(build_graph(call).nodes[0], call.args, call.kwargs)


async def _cancel(executor: Executor, call: Callable[[str], LazyResult[None]]) -> None:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        await _cancel_call(_execute(executor, call(name)), Path(name))


async def _cancel_call(work: Coroutine[Any, Any, object], folder: Path) -> None:
    executing = asyncio.ensure_future(work)
    ends = time.monotonic() + PATIENCE
    while not (folder / "began").exists():
        assert time.monotonic() < ends, "the call does not begin"
        await asyncio.sleep(0.001)
    executing.cancel()
    going = asyncio.get_running_loop().call_later(0.05, (folder / "go").touch)
    await asyncio.wait([executing])
    going.cancel()
    is_over = (folder / "ended").exists() or not lives(int((folder / "began").read_text()))
    assert is_over, "the executor has returned, and the call is still under way"
    assert executing.cancelled() or executing.exception() is None


def _chunk(executor: Executor, lazies: Sequence[Lazy]) -> AsyncIterator[Progress]:
    node = build_graph(lazies[0]).nodes[0]
    chunk = [
        ChunkCall(lazy.args, dict(lazy.kwargs), CallFacts("run", lazy.task.name, item))
        for item, lazy in enumerate(lazies)
    ]
    own = getattr(executor, "execute_chunk", None)
    if own is None:
        return execute_each(lambda call: executor.execute(node, call.args, call.kwargs), chunk)
    made: AsyncIterator[Progress] = own(node, chunk)
    return made


async def _ends(executor: Executor, calls: Iterable[Lazy]) -> dict[int, CallEnd]:
    """Have calls made; those that are given back, as a slow machine makes an executor do, go out again."""
    lazies, ends = [*calls], dict[int, CallEnd]()
    while left := [position for position in range(len(lazies)) if position not in ends]:
        async for progress in _chunk(executor, [lazies[position] for position in left]):
            for end in progress.ends:
                position = left[end.position]
                assert position not in ends, "a call has two ends"
                ends[position] = end._replace(position=position)
        assert left[0] in ends, "no call of a chunk has been made"
    return ends
