"""Claims about runs that thread tasks start: they may use the thread that waits for them, and no more than that."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor


@cs.task(mode="thread")
def leaf(x: int) -> int:
    return x


class Tree:
    """Runs that thread tasks start on one executor, to a depth, some one after the other and some at once."""

    def __init__(self, executor: LocalExecutor, loop: asyncio.AbstractEventLoop, engine: cs.Engine) -> None:
        self.executor = executor
        self.loop = loop
        self.engine = engine
        self.in_loop = False

    def run(self, target: Any) -> Any:
        """Run a target from a thread: in a loop of the thread's own, or in the first one."""
        if self.in_loop:
            return asyncio.run_coroutine_threadsafe(self.engine.run(target), self.loop).result(60)
        return cs.run(target, executor=self.executor)

    def node(self, shape: Any) -> cs.LazyResult[Any]:
        """Return a task that runs the shapes below it, and counts the leaves."""

        @cs.task(mode="thread")
        def nested() -> int:
            return sum(self.run([self.node(each) for each in shape])) if shape else 1

        return nested()


def leaves(shape: Any) -> int:
    return sum(map(leaves, shape)) if shape else 1


SHAPES: dict[str, Any] = {
    "one": [[]],
    "chain": [[[[[]]]]],
    "wide": [[], [], [], []],
    "wide and deep": [[[], []], [[], [[], []]], []],
}
_random = random.Random(7)


def _made(depth: int) -> Any:
    return [_made(depth - 1) for _ in range(_random.randrange(4))] if depth else []


SHAPES.update((f"random {number}", [_made(4)]) for number in range(6))


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("in_loop", [False, True], ids=["own loop", "first loop"])
@pytest.mark.parametrize("name", SHAPES)
async def test_runs_that_thread_tasks_start_do_not_deadlock(name: str, in_loop: bool, threads: int) -> None:
    """Whatever their nesting, runs on one executor end: in loops of their own, and in the loop of the first run."""
    executor = LocalExecutor(threads=threads)
    engine = cs.Engine(executor=executor)
    tree = Tree(executor, asyncio.get_running_loop(), engine)
    tree.in_loop = in_loop
    try:
        value = await asyncio.wait_for(engine.run([tree.node(SHAPES[name]), leaf(1)]), 60)
    finally:
        await engine.close()
        await executor.close()
    assert value == [leaves(SHAPES[name]), 1]


async def test_a_nested_run_has_no_more_threads_than_there_are() -> None:
    """Of the calls of nested runs no more are under way than threads are free, with that of the waiting call."""
    lock = threading.Lock()
    now, most = [0], [0]

    @cs.task(mode="thread")
    def work(x: int) -> int:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        threading.Event().wait(0.002)
        with lock:
            now[0] -= 1
        return x

    executor = LocalExecutor(threads=2)

    @cs.task(mode="thread")
    def outer() -> Any:
        return cs.run(work.map(x=range(12)), executor=executor)

    try:
        value = await cs.arun([outer(), outer()], executor=executor)
    finally:
        await executor.close()
    assert value == [[*range(12)], [*range(12)]]
    assert most[0] <= 2


async def test_one_thread_is_one_thread() -> None:
    """With `threads=1` calls that are not nested are all made in the very same thread."""

    @cs.task(mode="thread")
    def ident(x: int) -> int:
        return threading.get_ident()

    executor = LocalExecutor(threads=1)
    try:
        value = await cs.arun(ident.map(x=range(20)), executor=executor)
    finally:
        await executor.close()
    assert len(set(value)) == 1


async def test_a_cancelled_wait_for_a_thread_leaves_the_others() -> None:
    """Calls that are cancelled while they wait for a thread never begin, and lose no place for others."""
    go_on = threading.Event()
    begun: list[int] = []

    @cs.task(mode="thread")
    def hold(x: int) -> int:
        begun.append(x)
        assert go_on.wait(60)
        return x

    executor = LocalExecutor(threads=1)
    async with cs.Engine(executor=executor) as engine:
        first = asyncio.create_task(engine.run(hold(0)))
        while not begun:  # noqa: ASYNC110 - told by a thread
            await asyncio.sleep(0.001)
        waiting = [asyncio.create_task(engine.run(hold(number))) for number in range(1, 6)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for each in waiting[:4]:
            each.cancel()
        await asyncio.wait(waiting[:4])
        go_on.set()
        values = [await first, await waiting[4]]
    await executor.close()
    assert values == [0, 5]
    assert begun == [0, 5]
