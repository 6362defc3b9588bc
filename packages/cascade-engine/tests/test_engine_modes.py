"""Claims about where functions run: on the loop, inline, in threads, in other processes."""

from __future__ import annotations

import asyncio
import importlib
import os
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import Engine
from cascade.spec import PolicyError, TaskReferenceError

user: ContextVar[str] = ContextVar("user", default="nobody")

MODULE = """
import os
import cascade as cs

@cs.task(mode="process")
def where(x=None):
    return os.getpid()

@cs.task
def plain(x):
    return os.getpid(), x

@cs.task
async def later():
    return os.getpid()

@cs.task(mode="process")
def fail(x):
    raise ValueError(x)

@cs.task(mode="process")
def leave():
    raise SystemExit(3)

@cs.task(mode="process")
def unpicklable():
    return lambda: None

@cs.task(mode="process")
def again(left):
    return again(left - 1) if left else os.getpid()
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A module of tasks that other processes can import."""
    (tmp_path / "tasks_elsewhere.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("tasks_elsewhere")
    monkeypatch.delitem(importlib.import_module("sys").modules, "tasks_elsewhere")


def thread_id(x: object = None) -> int:
    return threading.get_ident()


async def thread_id_of_loop() -> int:
    await asyncio.sleep(0)
    return threading.get_ident()


def test_functions_run_in_the_loops_thread_by_default() -> None:
    """A `def` and an `async def` run in the very thread that calls `cs.run`, and no thread is made."""
    before = threading.active_count()
    seen: list[int] = []

    @cs.task
    def count() -> int:
        seen.append(threading.active_count())
        return threading.get_ident()

    targets: list[cs.LazyResult[int]] = [
        count(),
        cs.task(thread_id_of_loop)(),
        cs.task(mode="inline")(thread_id)(),
    ]
    assert set(cs.run(targets)) == {threading.get_ident()}
    assert seen == [before]


async def test_inline_functions_run_without_a_hop() -> None:
    """Inline functions follow each other in one turn of the loop: nothing else gets between them."""
    turns: list[str] = []

    @cs.task
    def step(number: int, before: object = None) -> int:
        turns.append(f"step {number}")
        return number

    async def beside() -> None:
        await asyncio.sleep(0)
        turns.append("beside")

    other = asyncio.create_task(beside())
    await cs.arun(step(3, step(2, step(1))))
    await other
    assert [turn for turn in turns if turn != "beside"] == ["step 1", "step 2", "step 3"]
    assert turns.index("step 3") - turns.index("step 1") == 2


def test_a_thread_task_runs_in_another_thread() -> None:
    """`mode="thread"` runs a `def` beside the loop, which goes on; the threads end with the run."""
    loop_turned = threading.Event()

    @cs.task(mode="thread")
    def wait_for_the_loop() -> int:
        assert loop_turned.wait(20)
        return threading.get_ident()

    @cs.task
    async def turn() -> None:
        await asyncio.sleep(0)
        loop_turned.set()

    ident, _ = cs.run([wait_for_the_loop(), turn()])
    assert ident != threading.get_ident()


async def test_an_executor_sets_the_mode_for_all() -> None:
    """`Engine(executor=LocalExecutor(mode="thread"))` is for each `def` that names no mode of its own."""
    executor = LocalExecutor(mode="thread")
    try:
        async with Engine(executor=executor) as engine:
            threaded, inline, on_loop = await engine.run(
                [cs.task(thread_id)(), cs.task(mode="inline")(thread_id)(), cs.task(thread_id_of_loop)()]
            )
    finally:
        await executor.close()
    assert threaded != threading.get_ident()
    assert inline == on_loop == threading.get_ident()


async def test_context_variables_reach_threads() -> None:
    """A function in a thread sees the caller's context variables, and what it sets stays there."""

    @cs.task(mode="thread")
    def swap() -> str:
        seen = user.get()
        user.set("thread")
        return seen

    user.set("ada")
    assert [*await cs.arun([swap(), swap()]), user.get()] == ["ada", "ada", "ada"]


def test_what_a_thread_raises_comes_out() -> None:
    """The exception of a function in a thread is the original object."""
    error = ValueError("mine")

    @cs.task(mode="thread")
    def fail() -> None:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        cs.run(fail())
    assert caught.value is error


def test_a_process_task_runs_in_another_process(elsewhere: Any) -> None:
    """`mode="process"` runs a `def` in another process and gives back its value; the others stay here."""
    pid, (here, given), later = cs.run([elsewhere.where(), elsewhere.plain([1]), elsewhere.later()])
    assert pid != os.getpid()
    assert (here, given, later) == (os.getpid(), [1], os.getpid())


def test_a_process_gives_back_errors_and_next_calls(elsewhere: Any) -> None:
    """What a function raises in another process comes out here, and a lazy result that it returns is run."""
    with pytest.raises(ValueError, match="17") as caught:
        cs.run(elsewhere.fail(17))
    assert any("task 'fail' at root" in note for note in caught.value.__notes__)
    assert cs.run(elsewhere.again(1)) != os.getpid()


def test_a_process_that_leaves_does_not_hang_the_run(elsewhere: Any) -> None:
    """`SystemExit` in another process, and a value that can't come back, are errors and no hang."""
    with pytest.raises(SystemExit):
        cs.run(elsewhere.leave())
    with pytest.raises(Exception, match=r"pickle|lambda"):
        cs.run(elsewhere.unpicklable())


async def test_processes_for_all_work_with_gather_and_inputs(elsewhere: Any) -> None:
    """Where every `def` goes to other processes, Cascade's own tasks still work: lists, params and maps."""
    executor = LocalExecutor(mode="process", processes=1)
    try:
        async with Engine(executor=executor) as engine:
            target = {
                "param": elsewhere.plain(cs.Param("n", type=int)),
                "map": cs.map(lambda x: elsewhere.plain(x), x=[1, 2]),
            }
            value = await engine.run(target, params={"n": 7})
    finally:
        await executor.close()
    assert value["param"][1] == 7
    assert [x for _, x in value["map"]] == [1, 2]
    assert os.getpid() not in {value["param"][0], *(pid for pid, _ in value["map"])}


async def test_async_with_ends_the_processes(elsewhere: Any) -> None:
    """The processes that an engine made end with its `async with` block."""
    async with Engine() as engine:
        pid = await engine.run(elsewhere.where())
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_thread_task_may_run_a_workflow_of_its_own() -> None:
    """In a thread there is no running loop, so `cs.run` works there."""

    @cs.task(mode="thread")
    def outer() -> int:
        return cs.run(cs.task(thread_id)())

    assert cs.run(outer()) != threading.get_ident()


def test_a_task_inside_a_function_is_refused_for_processes() -> None:
    """A task that other processes can't find is refused before anything runs; the error names it and the remedy."""
    calls: list[int] = []

    @cs.task
    def before() -> None:
        calls.append(1)

    @cs.task(mode="process")
    def inner(x: object) -> None:
        pass

    with pytest.raises(TaskReferenceError, match=r"task 'inner' can't be found.*at the top of a module"):
        cs.run(inner(before()))
    assert not calls


def test_unknown_modes_are_refused() -> None:
    """A mode that there is none of is refused where it is written, with those that there are."""
    with pytest.raises(PolicyError, match="'inline', 'thread', 'process'"):
        cs.task(mode="fiber")(thread_id)  # type: ignore[call-overload]
    with pytest.raises(PolicyError, match="'inline', 'thread', 'process'"):
        LocalExecutor(mode="fiber")


async def test_an_executor_can_be_used_again_after_close() -> None:
    """A closed executor makes new threads at its next use."""
    executor = LocalExecutor(mode="thread")
    for _ in range(2):
        assert await cs.arun(cs.task(thread_id)(), executor=executor) != threading.get_ident()
        await executor.close()


async def test_threads_bounds_the_threads() -> None:
    """`LocalExecutor(threads=1)` runs one function at a time."""
    most: list[int] = [0, 0]

    def count(x: int) -> None:
        most[0] += 1
        most[1] = max(most)
        most[0] -= 1

    executor = LocalExecutor(mode="thread", threads=1)
    await cs.arun(cs.task(count).map(range(20)), executor=executor)
    await executor.close()
    assert most == [0, 1]
