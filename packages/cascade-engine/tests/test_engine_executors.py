"""Claims about named executors: a call is made where its task's `on=` says, else on the engine's own executor."""

from __future__ import annotations

import os
import threading
from collections import Counter
from importlib import import_module, invalidate_caches
from pathlib import Path
from typing import Any

import pytest
from support.closing import check_closed_during_a_run

import cascade as cs
from cascade.adapters.executors.local import LocalExecutor
from cascade.runtime import TaskTimeoutError, UnknownExecutorError
from cascade.runtime.exceptions import InlineTimeoutError
from cascade.spec import SpecError, TaskReferenceError
from cascade.spec.policies.mode import Mode

made: list[object] = []


@cs.task
def here(*args: object) -> str:
    made.append("here")
    return threading.current_thread().name


@cs.task(on="pool")
def there(*args: object) -> str:
    made.append("there")
    return threading.current_thread().name


@cs.task(on="pool")
async def later(*args: object) -> str:
    made.append("later")
    return threading.current_thread().name


@pytest.fixture(autouse=True)
def nothing_made() -> None:
    made.clear()


class Counting:
    """An executor that counts the calls that it makes, by task."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self._local = LocalExecutor()

    async def execute(self, node: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        self.calls[node.task.name] += 1
        return await self._local.execute(node, args, kwargs)


def test_a_call_goes_where_its_task_says() -> None:
    """A task with `on=` runs on the executor of that name, all others on the engine's own."""
    main = threading.current_thread().name
    for target in ([here(), there()], [here(), there(here())]):
        first, second = cs.run(target, executors={"pool": "threads"})
        assert first == main
        assert second.startswith("cascade")
    first, second = cs.run([here(), there()], executor="threads", executors={"pool": "inline"})
    assert first.startswith("cascade")
    assert second == main


@pytest.mark.parametrize("fast", [False, True], ids=["seen once", "seen often"])
def test_a_named_executor_sees_exactly_its_calls(fast: bool) -> None:
    """Whatever way a tree is run, maps, loops and coroutines among them, a named executor makes its own calls alone."""

    @cs.task(on="pool")
    def step(left: int) -> Any:
        return step(left - 1) if left else there()

    for _ in range(4 if fast else 1):
        pool, own = Counting(), Counting()
        cs.run(
            [here(there(here())), later(there()), there.map([1, 2, 3]), step(3), here.map([1, 2])],
            executor=own,
            executors={"pool": pool, "unused": Counting()},
        )
        assert pool.calls == {"there": 6, "later": 1, "step": 4}
        assert own.calls["here"] == 4
        assert not own.calls.keys() & {"there", "later", "step"}
        pool = Counting()
        cs.run([here(there(here())), later(there()), there.map([1, 2, 3])], executors={"pool": pool})
        assert pool.calls == {"there": 5, "later": 1}


def test_on_goes_before_mode_and_mode_before_the_executor() -> None:
    """`on=` names the executor; on one of this machine `mode=` then says where, and without it the executor does."""
    main = threading.current_thread().name

    @cs.task(on="pool", mode="inline")
    def stays() -> str:
        return threading.current_thread().name

    @cs.task(mode="thread")
    def leaves() -> str:
        return threading.current_thread().name

    assert cs.run(stays(), executors={"pool": "threads"}) == main
    assert cs.run(leaves(), executor="inline", executors={"pool": "inline"}).startswith("cascade")
    assert cs.run(there(), executor="inline", executors={"pool": "threads"}).startswith("cascade")


@pytest.mark.parametrize("executors", [None, {}, {"gpu": "threads", "cpu": "inline"}])
@pytest.mark.parametrize(
    "target",
    [
        lambda: there(),
        lambda: [here(), there(here())],
        lambda: later(here()),
        lambda: there.map([here()]),
        lambda: here(there().with_retry()),
    ],
    ids=["target", "list", "coroutine", "map", "policy"],
)
def test_an_unknown_executor_is_refused_before_anything_runs(target: Any, executors: Any) -> None:
    """A name that no executor has is an error: it names the task, the names that there are, and how one is given."""
    with pytest.raises(UnknownExecutorError) as caught:
        cs.run(target(), executors=executors)
    known = ", ".join(executors or ()) or "none"
    assert f"is to run on 'pool', which is not an executor of the engine (executors: {known})" in str(
        caught.value
    )
    assert "give executors={'pool': ...}, or --executors pool=... on the command line" in str(caught.value)
    assert not made


@pytest.mark.parametrize(
    "place", ["localhost:notaport", "localhost:", "localhost", "h:0", "h:65536", "h:-1", ":1", "[::1"]
)
@pytest.mark.parametrize(("scheme", "form"), [("dask", "dask://host:8786"), ("ray", "ray://host:10001")])
def test_the_address_of_a_cluster_has_a_host_and_a_port(scheme: str, form: str, place: str) -> None:
    """One that has not is refused at once, by name, and with how it is written: nothing is connected to."""
    for given in ({"executor": f"{scheme}://{place}"}, {"executors": {"pool": f"{scheme}://{place}"}}):
        with pytest.raises(SpecError) as caught:
            cs.run(here(), **given)
        assert f"{scheme}://{place}" in str(caught.value)
        assert f"write it as {form}, with a port from 1 to 65535" in str(caught.value)
    assert not made


def test_no_error_shows_the_password_in_the_address_of_a_cluster() -> None:
    """Clusters have none; who writes one is told so without it."""
    with pytest.raises(SpecError, match="write it as dask://host:8786") as caught:
        cs.run(here(), executor="dask://user:marmalade@localhost:8786")
    assert "marmalade" not in str(caught.value)


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("mode", [Mode.THREAD, Mode.PROCESS])
async def test_closing_waits_for_calls_under_way(mode: Mode, size: int, tmp_path: Path) -> None:
    """A run goes on when its executor is closed: calls under way end, those that wait are made, and later ones too."""
    executor = LocalExecutor(mode, threads=size, processes=size)
    await check_closed_during_a_run(executor, tmp_path)


def test_a_later_tree_with_an_unknown_executor_is_refused_before_its_first_node() -> None:
    """So is one in a tree that a task returned, or that the factory of a map made."""

    @cs.task
    def first(x: object = None) -> Any:
        return there(here())

    for target in (first(), here(first()), cs.map(first, x=[1, 2])):
        with pytest.raises(UnknownExecutorError):
            cs.run(target)
        assert not made


@pytest.mark.parametrize("on", ["", 3, b"pool"])
def test_on_is_a_name(on: Any) -> None:
    """Anything but a name is refused where it is written."""
    with pytest.raises(SpecError, match="give the name of one of the engine's executors"):
        cs.task(on=on)


def test_what_an_executor_can_not_do_is_refused_beforehand() -> None:
    """Timeouts of inline calls and functions that no other process finds are refused for named executors too."""
    with pytest.raises(InlineTimeoutError):
        cs.run(here(there().with_timeout(1)), executors={"pool": "inline"})

    @cs.task(on="pool")
    def local() -> None: ...

    with pytest.raises(TaskReferenceError):
        cs.run(here(local()), executors={"pool": "processes"})
    assert not made


MODULE = """
import os
import time
import cascade as cs

@cs.task(on="pool")
def where():
    return os.getpid()

@cs.task(on="pool", timeout=0.05)
def slow():
    time.sleep(1)  # a busy machine may hold up the event loop for a good part of it
"""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "where_named.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    invalidate_caches()
    return import_module("where_named")


def test_processes_are_an_executor_like_any_other(elsewhere: Any) -> None:
    """Calls of a task on an executor of processes run in another process, a plain call beside them here."""
    pids = cs.run([elsewhere.where(), elsewhere.where()], executors={"pool": "processes:1"})
    assert pids[0] == pids[1] != os.getpid()
    with pytest.raises(TaskTimeoutError):
        cs.run(elsewhere.slow(), executors={"pool": "threads:1"})
