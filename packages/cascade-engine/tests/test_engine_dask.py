"""Calls on a Dask cluster: where they are made, what comes back, what stays, what happens when workers die."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from support.closing import check_closed_during_a_run
from support.remote_tasks import (
    Odd,
    add,
    blob,
    both,
    count_down,
    die,
    die_first,
    facts,
    fail,
    fail_first,
    fail_stubbornly,
    give_lock,
    give_trap,
    hold_until,
    length,
    make_deadly,
    note,
    square,
    take,
    wait_here,
    wait_there,
    where,
)

import cascade as cs
from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    ClusterGoneError,
    RemoteError,
    WorkerDiedError,
)
from cascade.adapters.executors.dask import DaskExecutor
from cascade.adapters.executors.dask_cluster import cluster_workers, gone_workers
from cascade.adapters.executors.dask_cluster.scheduler_line import SchedulerLine
from cascade.adapters.executors.dask_cluster.sent_requests import GoneWorker, NotBegun
from cascade.adapters.executors.handles import HandleLostError
from cascade.adapters.executors.remote_calls.remote_executor import Answer, SentRequest
from cascade.adapters.executors.remote_calls.remote_handles import RemoteHandle
from cascade.graph.nodes import Node
from cascade.runtime.protocols import ChunkCall
from cascade.spec.errors import SpecError
from cascade.spec.task import AnyTask
from cascade.testing import ExecutorConformance


class TestDaskConformance(ExecutorConformance):
    @pytest.fixture(autouse=True)
    def _take_address(self, dask_address: str) -> None:
        self._address = dask_address

    def make_executor(self) -> DaskExecutor:
        return DaskExecutor(self._address)


def _node(task: AnyTask) -> Node:
    return Node("n0", task.name, callable_obj=task.func, task=task)


async def _stayed(executor: DaskExecutor, task: AnyTask, *args: object) -> RemoteHandle:
    handle = await executor.execute_to_handle(_node(task), args, {})
    assert isinstance(handle, RemoteHandle)
    return handle


# What a call means does not depend on where it is made


async def test_calls_are_made_in_processes_of_the_cluster(dask_address: str) -> None:
    """A plain call is made by a worker, and its value comes here."""
    async with DaskExecutor(dask_address) as executor:
        process, _ = await cs.arun(where(), executor=executor)
        assert process != os.getpid()
        assert await cs.arun(add(square(3), y=square(2)), executor=executor) == 13


def test_a_word_names_the_cluster(dask_address: str) -> None:
    """`executor="dask://host:port"` is enough, also in one run after the other; the connection ends with the run."""
    word = dask_address.replace("tcp://", "dask://")
    assert cs.run(square(3), executor=word) == 9
    assert cs.run(square(4), executor=word) == 16


def test_an_executor_serves_one_loop_after_the_other(dask_address: str) -> None:
    """An executor that nobody closes lets go of the cluster with each event loop, and connects again in the next."""
    executor = DaskExecutor(dask_address)
    assert cs.run(square(3), executor=executor) == 9
    assert cs.run(square(4), executor=executor) == 16


async def test_on_chooses_the_cluster(dask_address: str) -> None:
    """A task with `on=` goes to that executor, also `async def`; `async def` without it stays in this process."""
    async with DaskExecutor(dask_address) as executor:
        values = await cs.arun([wait_there(1), wait_here(2)], executor=executor, executors={"far": executor})
        assert values[0][0] == 1
        assert values[0][1] != os.getpid()
        assert values[1] == (2, os.getpid())


async def test_code_without_a_module_goes_by_value(dask_address: str) -> None:
    """A task that no worker can import goes there with its code, and what it returns holds the very same task."""
    async with DaskExecutor(dask_address) as executor:
        factor = 3

        @cs.task
        def times(x: int) -> int | cs.LazyResult[int]:
            return factor * x if x > 1 else times(x + 1)

        assert await cs.arun(times(0), executor=executor) == 6
        lazy: Any = await executor.execute(_node(times), (1,), {})
        assert lazy.task is times


def test_code_of_a_script_goes_by_value(dask_address: str, tmp_path: Path) -> None:
    """Functions, classes and exceptions of `__main__` travel, and their objects come back as what they were."""
    script = tmp_path / "trip.py"
    script.write_text(
        """
import sys
import cascade as cs

RATE = 2

class Money:
    def __init__(self, amount): self.amount = amount

class Broke(Exception):
    pass

@cs.task
def pay(money): return Money(money.amount * RATE)

@cs.task
def overdraw(): raise Broke("nothing left")

if __name__ == "__main__":
    value = cs.run(pay(Money(4)), executor=sys.argv[1])
    print(type(value) is Money, value.amount)
    RATE = 3
    print(cs.run(pay(Money(4)), executor=sys.argv[1]).amount)
    try:
        cs.run(overdraw(), executor=sys.argv[1])
    except Broke as error:
        print(error)
"""
    )
    word = dask_address.replace("tcp://", "dask://")
    done = subprocess.run([sys.executable, str(script), word], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n") == ["True 8", "12", "nothing left", ""], done.stderr


async def test_facts_travel_with_a_call(dask_address: str) -> None:
    """`cs.current_call()` tells a worker the run, the task, the item and the attempt."""
    async with DaskExecutor(dask_address) as executor:
        values = await cs.arun(facts.map(x=[0, 0]), executor=executor)
        run_id = values[0][0]
        assert run_id
        assert values == [(run_id, "facts", 0, 1), (run_id, "facts", 1, 1)]


async def test_what_stands_for_another_value_comes_home(dask_address: str) -> None:
    """Lazy results that a worker returns are run, in tail calls and inside of lists."""
    async with DaskExecutor(dask_address) as executor:
        assert await cs.arun([count_down(5), both(3)], executor=executor) == [0, [9, 3]]


# Failures


async def test_the_original_exception_arrives(dask_address: str) -> None:
    """It is of its class, has its attributes, and the traceback in the worker as a note."""
    async with DaskExecutor(dask_address) as executor:
        with pytest.raises(Odd, match="wrong") as caught:
            await cs.arun(fail("wrong"), executor=executor)
        assert caught.value.code == 7
        assert any("remote_tasks.py" in note and "in fail" in note for note in caught.value.__notes__)


async def test_what_cannot_be_sent_is_named(dask_address: str) -> None:
    """Arguments, results and exceptions that can't be pickled are errors of their call, and of no other."""
    async with DaskExecutor(dask_address) as executor:
        with pytest.raises(BoundaryError, match="argument 'value' of task 'take'"):
            await cs.arun(take(asyncio.get_running_loop()), executor=executor)
        with pytest.raises(BoundaryError, match="the result of task 'give_lock'"):
            await cs.arun(give_lock(), executor=executor)
        with pytest.raises(BoundaryError, match=r"the result of task 'give_trap'.*sprung"):
            await cs.arun(give_trap(), executor=executor)
        with pytest.raises(RemoteError, match="Stubborn: no"):
            await cs.arun(fail_stubbornly("no"), executor=executor)
        assert await cs.arun(square(3), executor=executor) == 9


async def test_the_remedy_for_what_cannot_be_sent_is_one(dask_address: str) -> None:
    """What the error tells to write has the call made here; `on=` counts before any mode, and `async def` has none."""

    def kind(value: object) -> str:
        return type(value).__name__

    async def kind_later(value: object) -> str:
        return type(value).__name__

    loop, far = asyncio.get_running_loop(), f"dask://{dask_address.removeprefix('tcp://')}"
    thread = 'write @cs.task(mode="thread")'
    async with cs.Engine(executor=far, executors={"far": far}) as engine:
        for task, remedy in {
            cs.task(kind): thread,
            cs.task(on="far")(kind): f"leave on='far' out and {thread}",
            cs.task(on="far", mode="thread")(kind): f"leave on='far' out and {thread}",
            cs.task(on="far")(kind_later): "leave on='far' out",
        }.items():
            with pytest.raises(BoundaryError) as caught:
                await engine.run(task(loop))
            assert str(caught.value).endswith(f"pass data that can be pickled, or {remedy}")
        for made_here in (cs.task(mode="thread")(kind), cs.task(kind_later)):
            assert await engine.run(made_here(loop)) == type(loop).__name__


async def test_retries_are_the_engines(dask_address: str, tmp_path: Path) -> None:
    """A call that fails is made as often as its policy says, and no more."""
    async with DaskExecutor(dask_address) as executor:
        assert await cs.arun(fail_first(str(tmp_path)).with_retry(3), executor=executor) == 5
        assert (tmp_path / "called").read_text() == "xx"


async def test_a_call_whose_worker_dies_is_made_once(dask_address: str, tmp_path: Path) -> None:
    """The death of a worker is a typed error, and Dask does not make the call again."""
    async with DaskExecutor(dask_address) as executor:
        path = tmp_path / "calls"
        with pytest.raises(WorkerDiedError, match="die"):
            await cs.arun(die(str(path)), executor=executor)
        assert path.read_text() == "x"


class _Neighbours:
    """Stands for a client whose workers at one address know nothing of a request."""

    status = "running"
    scheduler_comm = None

    def __init__(self, *nannies: str | None) -> None:
        self._nannies = nannies
        self.scheduler = self

    async def identity(self, n_workers: int) -> dict[str, Any]:
        workers: dict[str, Any] = {
            f"worker {nanny}": {"host": "10.0.0.1", "nanny": nanny, "resources": {}, "nthreads": 1}
            for nanny in self._nannies
        }
        return {"workers": workers}

    async def run(self, func: object, name: bytes, workers: list[str], on_error: str) -> dict[str, None]:
        return dict.fromkeys(workers)


async def test_only_who_shares_its_files_tells_that_a_dead_worker_had_not_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Other containers at its address know nothing of its journal: a call that may have begun is not made again."""
    monkeypatch.setattr(gone_workers, "_LOOK_SECONDS", 0.0)

    async def remains(nanny: str | None, *nannies: str | None) -> object:
        line = SchedulerLine(_Neighbours(*nannies))
        return await gone_workers.remains_of(line, "key", "charge", GoneWorker("10.0.0.1", nanny))

    assert await remains("its own", "another", "its own") is NotBegun.WORKER_GONE
    assert isinstance(await remains("its own", "another"), WorkerDiedError)
    assert isinstance(await remains("its own"), WorkerDiedError)
    assert isinstance(await remains(None, None), WorkerDiedError)


async def test_a_death_fails_one_call_of_a_chunk(dask_address: str, tmp_path: Path) -> None:
    """The calls before it have ended, and those after it have not begun: the call under way fails, and no other."""
    path = str(tmp_path / "calls")

    @cs.task
    def step(text: str) -> str:
        return str(die_first.func(path + "x")) if text == "x" else str(note.func(path, text))

    async with DaskExecutor(dask_address) as executor:
        calls = [ChunkCall((text,), {}, _facts(step)) for text in "abxcd"]
        (told,) = [each async for each in executor.execute_chunk(_node(step), calls)]
        assert [end.value for end in told.ends] == ["a", "b", None]
        assert isinstance(told.ends[2].error, WorkerDiedError)
        assert told.given_back == [3, 4]
        assert Path(path).read_text() == "ab"
        Path(path).unlink()
        Path(path + "x").unlink()
        assert await cs.arun(step.map(list("abxcd")).with_retry(2), executor=executor) == [
            "a",
            "b",
            "5",
            "c",
            "d",
        ]
        assert sorted(Path(path).read_text()) == list("abcd")


async def _retired(executor: DaskExecutor, begun: Path) -> int:
    """Have the worker removed in good order that makes a call; return its process, which goes on for a while."""
    await _until(begun.exists)
    client = (await executor._connection()).client  # noqa: SLF001 - as an adaptive cluster does
    (busy,) = [worker for worker, calls in (await client.processing()).items() if calls]
    process = (await client.run(os.getpid, workers=[busy]))[busy]
    await client.retire_workers([busy])
    return int(process)


async def test_a_call_goes_on_whose_worker_is_removed(dask_address: str, tmp_path: Path) -> None:
    """Dask does not make it again elsewhere: it is waited for, and its value comes here."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    async with DaskExecutor(dask_address) as executor:
        call = asyncio.create_task(executor.execute(_node(hold_until), (str(begun), str(go)), {}))
        await _retired(executor, begun)
        go.touch()
        assert await call == "held"
        assert begun.read_text() == "b"


async def test_a_call_that_ends_with_its_removed_worker_has_died(dask_address: str, tmp_path: Path) -> None:
    """Whether it is made again is for its retry policy to say."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    async with DaskExecutor(dask_address) as executor:
        call = asyncio.create_task(executor.execute(_node(hold_until), (str(begun), str(go)), {}))
        os.kill(await _retired(executor, begun), 9)
        with pytest.raises(WorkerDiedError, match="hold_until"):
            await call
        assert begun.read_text() == "b"


async def test_a_retry_after_a_death_gets_another_worker(dask_address: str, tmp_path: Path) -> None:
    """The retry policy of a call handles the death of its worker like any failure."""
    async with DaskExecutor(dask_address) as executor:
        path = tmp_path / "calls"
        assert await cs.arun(die_first(str(path)).with_retry(2), executor=executor) == 5
        assert path.read_text() == "xx"


@pytest.mark.server
def test_workers_that_lack_cascade_or_have_another_version_are_told_of(tmp_path: Path) -> None:
    """The call fails with an error that says so, and is not made."""
    (tmp_path / "without.py").write_text(
        "import sys\nfor name in [each for each in sys.modules if each.startswith('cascade')]: del sys.modules[name]\n"
        "sys.modules['cascade'] = None\n"
    )
    (tmp_path / "other.py").write_text(
        "from importlib import metadata\nmetadata.version = lambda _: '0.0.9'\n"
    )
    script = tmp_path / "program.py"
    script.write_text(
        """
import logging, sys
from pathlib import Path
import cascade as cs
from distributed import LocalCluster
from cascade.adapters.executors import WorkerLoadError
from cascade.adapters.executors.dask import DaskExecutor

@cs.task
def leave(path): Path(path).touch()

if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    folder = Path(sys.argv[1])
    size = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    for preload in ("without", "other"):
        with LocalCluster(preload=str(folder / f"{preload}.py"), **size) as cluster:
            try:
                cs.run(leave(str(folder / "made")), executor=DaskExecutor(cluster))
            except WorkerLoadError as error:
                print(str(error).partition(chr(10))[0])
"""
    )
    words = [sys.executable, str(script), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.count("\n") == 2, done.stderr
    lacking, other = done.stdout.splitlines()
    assert "task 'leave' can't be loaded" in lacking, done.stderr
    assert "No module named 'cascade" in lacking
    assert (
        f"this worker has cascade-engine 0.0.9, and the run has {metadata.version('cascade-engine')}; install"
        in other
    )
    assert not (tmp_path / "made").exists()


@pytest.mark.server
@pytest.mark.soak
async def test_a_scheduler_that_lacks_cascade_is_told_of(tmp_path: Path) -> None:
    """It needs Cascade, too: there, a plugin keeps Dask from making a call twice."""
    (tmp_path / "without.py").write_text("import sys\nsys.modules['cascade'] = None\n")
    file = tmp_path / "scheduler.json"
    words = (
        f"--host 127.0.0.1 --port 0 --no-dashboard --scheduler-file {file} --preload {tmp_path}/without.py"
    )
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *words.split()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as scheduler:
        try:
            await _until(lambda: file.exists() and file.read_text().endswith("}"))
            async with DaskExecutor(json.loads(file.read_text())["address"]) as executor:
                with pytest.raises(ClusterGoneError, match="its scheduler needs Cascade"):
                    await executor.execute(_node(square), (2,), {})
        finally:
            scheduler.kill()


async def test_a_scheduler_that_does_not_answer_is_one_clear_error() -> None:
    """Within seconds it is said which address can't be used, what was tried, and what to check."""
    with pytest.raises(ClusterGoneError, match=r"127\.0\.0\.1:9 can't be used") as caught:
        await cs.arun(square(3), executor="dask://127.0.0.1:9")
    assert "nobody answers as a Dask scheduler" in str(caught.value)
    assert "check that `dask scheduler` runs there" in str(caught.value)


def test_wrong_words_are_refused_before_anything_runs() -> None:
    """Each names what it can't be and what to write."""
    with pytest.raises(SpecError, match=r"write \"raise\" or \"rerun\""):
        DaskExecutor("tcp://127.0.0.1:1", on_lost="retry")
    with pytest.raises(SpecError, match="number from 1 on"):
        DaskExecutor("tcp://127.0.0.1:1", per_thread=0)
    with pytest.raises(SpecError, match="address of a scheduler"):
        DaskExecutor("")
    for address in ("tcp://localhost:notaport", "dask://localhost:0", "tls://localhost", "localhost:65536"):
        with pytest.raises(SpecError, match=f"'{address}'(.|\n)*dask://host:8786 or tcp://host:8786"):
            DaskExecutor(address)
    with pytest.raises(SpecError, match=r"DaskExecutor\(8786\)(.|\n)*a Client or a cluster"):
        DaskExecutor(8786)
    with pytest.raises(SpecError, match="dask://host:8786"):
        cs.run(square(3), executor="dask://")


# Values that stay


async def test_large_values_stay_and_small_ones_come(dask_address: str) -> None:
    """A large value is a handle that other calls take; a small one comes with the message that its call has ended."""
    async with DaskExecutor(dask_address) as executor:
        large = await _stayed(executor, blob, 100_000)
        assert await executor.execute_to_handle(_node(length), (large,), {}) == 100_000
        assert await executor.execute_to_handle(_node(take), ([large, {"k": large}],), {}) == "list"
        assert await large.fetch() == bytes(100_000)
        assert await executor.execute_to_handle(_node(blob), (10,), {}) == bytes(10)


async def test_a_part_of_a_value_that_stayed_comes_here(dask_address: str) -> None:
    """A part of a value on a worker is taken there, also if that part is what somebody looks at here."""

    @cs.task(on="far")
    def parcel() -> dict[str, bytes]:
        return {"large": bytes(100_000), "small": b"x"}

    @cs.task(on="far")
    def pair() -> tuple[bytes, bytes]:
        return bytes(100_000), b"x"

    @cs.task
    def size_here(data: bytes) -> int:
        return len(data)

    first, second = cs.unpack(pair(), 2)
    async with cs.Engine(executors={"far": f"dask://{dask_address.removeprefix('tcp://')}"}) as engine:
        assert await engine.run(parcel()["small"]) == b"x"
        assert await engine.run(size_here(parcel()["large"])) == 100_000
        assert await engine.run(cs.gather(size_here(first), second)) == [100_000, b"x"]


async def test_lazy_results_never_stay(dask_address: str) -> None:
    """What stands for another value comes home, however large what holds it is."""
    async with DaskExecutor(dask_address) as executor:

        @cs.task
        def many() -> list[object]:
            return [bytes(100_000), square(2)]

        value: Any = await executor.execute_to_handle(_node(many), (), {})
        assert value[1].task is square


async def test_a_large_value_ends_a_chunk(dask_address: str) -> None:
    """The calls of a chunk after one whose value stays are given back: they have not begun."""
    async with DaskExecutor(dask_address) as executor:
        calls = [ChunkCall((size,), {}, _facts(blob)) for size in (1, 100_000, 2)]
        told = [each async for each in executor.execute_chunk_to_handles(_node(blob), calls)]
        assert [end.position for each in told for end in each.ends] == [0, 1]
        assert isinstance(told[0].ends[1].value, RemoteHandle)
        assert [index for each in told for index in each.given_back] == [2]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - what happens in other processes
            await asyncio.sleep(0.01)


async def _kill_holder(executor: DaskExecutor) -> None:
    """Let every worker die, so that nothing that stayed is left."""
    connection = await executor._connection()  # noqa: SLF001 - workers are killed from outside of any call
    pids = await connection.client.run(os.getpid)
    for pid in pids.values():
        os.kill(pid, 9)
    await _until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids.values()))


async def test_a_lost_value_is_a_typed_error(dask_address: str) -> None:
    """It names the task and the place, whether the value is fetched or a call needs it; that call is not made."""
    async with DaskExecutor(dask_address) as executor:
        large = await _stayed(executor, blob, 100_000)
        await _kill_holder(executor)
        with pytest.raises(HandleLostError, match="task 'blob'") as caught:
            await large.fetch()
        assert (caught.value.task, caught.value.place) == ("blob", "n0")
        with pytest.raises(HandleLostError, match="task 'blob'"):
            await executor.execute(_node(length), (large,), {})


async def test_lost_values_are_computed_again_if_that_is_asked_for(dask_address: str, tmp_path: Path) -> None:
    """With `on_lost="rerun"` the calls that gave a value are made again, those that they built on too, each once."""
    path = str(tmp_path / "calls")

    @cs.task
    def source(size: int) -> bytes:
        note.func(path, "s")
        return bytes(size)

    @cs.task
    def grow(value: bytes) -> bytes:
        note.func(path, "g")
        return value + value

    executor = DaskExecutor(dask_address, on_lost="rerun")
    try:
        first = await _stayed(executor, source, 100_000)
        second = await _stayed(executor, grow, first)
        await _kill_holder(executor)
        del first
        lengths = [executor.execute(_node(length), (second,), {}) for _ in range(2)]
        assert await asyncio.gather(*lengths) == [200_000, 200_000]
        assert await second.fetch() == bytes(200_000)
        assert Path(path).read_text() == "sgsg"
    finally:
        await executor.close()


async def test_what_a_lost_value_was_made_of_may_still_be_there(dask_address: str) -> None:
    """A value is computed again also where somebody still holds the one that it was made of."""

    @cs.task
    def doubled(value: bytes) -> bytes:
        return value + value

    async with DaskExecutor(dask_address, on_lost="rerun") as executor:
        first = await _stayed(executor, blob, 100_000)
        second = await _stayed(executor, doubled, first)
        await _kill_holder(executor)
        assert await second.fetch() == bytes(200_000)
        assert await first.fetch() == bytes(100_000)


@pytest.mark.parametrize("on_lost", ["raise", "rerun"])
async def test_a_value_is_lost_also_if_dask_has_not_heard_of_it(
    dask_address: str, tmp_path: Path, on_lost: str
) -> None:
    """A call that needs it says so, or has it made again: Dask gives up that call, again and again."""
    go, died = tmp_path / "go", tmp_path / "died"

    async with DaskExecutor(dask_address, on_lost=on_lost) as executor:
        value = await _stayed(executor, make_deadly, str(go), str(died))
        needing = asyncio.create_task(executor.execute(_node(take), (value,), {}))
        go.touch()
        if on_lost == "rerun":
            assert await needing == "Deadly"
        else:
            with pytest.raises(HandleLostError, match="task 'make_deadly'"):
                await needing


async def test_a_connection_that_is_lost_is_made_anew(dask_address: str) -> None:
    """What is under way fails, and so does what needs a value from before; later calls are made as ever."""

    @cs.task
    def wait_long() -> None:
        time.sleep(1)

    async with DaskExecutor(dask_address) as executor:
        large = await _stayed(executor, blob, 100_000)
        waiting = asyncio.create_task(executor.execute(_node(wait_long), (), {}))
        await asyncio.sleep(0.5)
        connection = await executor._connection()  # noqa: SLF001 - the network fails
        connection.client.scheduler_comm.comm.abort()
        with pytest.raises(ClusterGoneError, match="the connection to it is lost"):
            await waiting
        await _until(lambda: connection.client.status != "connecting")
        async with asyncio.timeout(20):
            assert await executor.execute(_node(square), (3,), {}) == 9
            assert await executor.execute(_node(length), (bytes(2_000_000),), {}) == 2_000_000
            with pytest.raises(HandleLostError, match="task 'blob'"):
                await executor.execute(_node(length), (large,), {})


# Bounds, amounts, cancellations


class _Counting(DaskExecutor):
    """Counts what goes to the cluster, and how much of it is out at once."""

    sent = 0
    out = 0
    most = 0

    async def send(self, request: SentRequest) -> Answer:
        self.sent += 1
        self.out += 1
        self.most = max(self.most, self.out)
        try:
            return await super().send(request)
        finally:
            self.out -= 1


async def test_maps_go_out_in_chunks(dask_address: str) -> None:
    """Many short items are few requests, and no more are out than the workers have threads."""
    executor = _Counting(dask_address)
    try:
        assert await cs.arun(square.map(x=range(2000)), executor=executor) == [x * x for x in range(2000)]
        assert executor.sent < 500
        assert executor.most <= 2
    finally:
        await executor.close()


async def test_chains_go_out_together(dask_address: str) -> None:
    """Calls that take each other's values are few requests, whatever they give on the way."""

    @cs.task
    def more(x: int) -> int:
        return x + 1

    @cs.task
    def later(x: int) -> int | cs.LazyResult[int]:
        return square(x)

    @cs.task
    def padded(x: int) -> bytes:
        return bytes(100_000 + x)

    executor = _Counting(dask_address)
    try:
        lazy = more(0)
        for _ in range(299):
            lazy = more(lazy)
        assert await cs.arun(lazy, executor=executor) == 300
        assert executor.sent < 40
        middle = more(more(later(more(more(1)))))
        assert await cs.arun(middle, executor=executor) == 11
        large = more(length(padded(more(more(1)))))
        assert await cs.arun(large, executor=executor) == 100_004
    finally:
        await executor.close()


async def test_a_failure_in_a_chain_is_that_of_its_call(dask_address: str) -> None:
    """The calls before it have ended, and those after it are never made."""
    async with DaskExecutor(dask_address) as executor:
        first = add(1, 1)
        failing: cs.LazyResult[Any] = fail(add(first, 1))
        last = add(add(failing, 1), 1)
        with pytest.raises(ExceptionGroup) as caught:
            await cs.arun(last, executor=executor, on_failure="finish")
        (failure,) = caught.value.exceptions
        assert isinstance(failure, Odd)
        with pytest.raises(BoundaryError, match="argument 'y' of task 'add'"):
            await cs.arun(add(add(add(1, 1), asyncio.get_running_loop()), 1), executor=executor)


async def test_amounts_are_the_clusters_resources(dask_address: str) -> None:
    """`gpu=1` is taken from what the workers declare; what they do not declare is counted by the engine alone."""
    async with DaskExecutor(dask_address) as executor:

        @cs.task
        def left() -> dict[str, float]:
            from distributed import get_worker

            return dict(get_worker().state.available_resources)

        calls = left().with_constraints(gpu=1, seats=2)
        system = {"gpu": 1, "seats": 2}
        assert await cs.arun(calls, executor=executor, system_resources=system) == {"gpu": 3}
        assert await cs.arun(left(), executor=executor) == {"gpu": 4}


@cs.task
def train() -> str:
    raise AssertionError


@pytest.mark.server
def test_an_amount_that_no_worker_will_ever_have_is_an_error(tmp_path: Path) -> None:
    """A cluster object that is complete and does not grow by itself tells so: the call would wait for ever."""
    script = tmp_path / "program.py"  # such a cluster leaves things behind in its process
    script.write_text(
        """
import logging
import cascade as cs
from distributed import LocalCluster
from cascade.adapters.executors.boundary_errors import WorkerAmountError
from cascade.adapters.executors.dask import DaskExecutor

logging.getLogger("distributed").setLevel(logging.CRITICAL)

@cs.task
def train(): return "trained"

size = {"n_workers": 1, "threads_per_worker": 1, "resources": {"gpu": 1, "licence": 2}}
with LocalCluster(processes=False, dashboard_address=None, **size) as cluster:
    def run(**amounts):
        system = {"gpu": 4, "seats": 3, "licence": 2}
        return cs.run(train().with_constraints(**amounts), executor=DaskExecutor(cluster), system_resources=system)
    print(run(gpu=1, seats=3, licence=2))
    try:
        run(gpu=2, seats=3)
    except WorkerAmountError as error:
        print((error.task, error.wanted, error.offered))
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.stdout.split("\n")[:2] == ["trained", "('train', 'gpu=2', 'gpu=1, licence=2')"], done.stderr


@pytest.mark.server
def test_a_large_call_waits_for_a_first_worker_as_any_other(tmp_path: Path) -> None:
    """An adaptive cluster may have none just now."""
    script = tmp_path / "program.py"
    script.write_text(
        """
import logging
import cascade as cs
from distributed import LocalCluster
from cascade.adapters.executors.dask import DaskExecutor
from cascade.adapters.executors.dask_cluster import cluster_workers, dask_connection

dask_connection._ANSWER_SECONDS = 0.5
cluster_workers._PATIENCE_SECONDS = 0.0
logging.getLogger("distributed").setLevel(logging.CRITICAL)

@cs.task
def size(data): return len(data)

with LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
    class Grow(logging.Handler):
        def emit(self, record):
            print(record.getMessage())
            cluster.scale(1)
    logging.getLogger("cascade").addHandler(Grow())
    print(cs.run(size(bytes(2_000_000)), executor=DaskExecutor(cluster)))
"""
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    said = done.stdout.splitlines()
    assert said[-1:] == ["2000000"], done.stderr
    assert "task 'size' waits: the cluster at" in said[0]


async def test_a_call_that_waits_for_a_worker_with_its_amount_is_told_of(
    dask_address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where such a worker may still come it is waited for; after some seconds the log says what it waits for."""
    monkeypatch.setattr(cluster_workers, "_PATIENCE_SECONDS", 0.0)
    async with DaskExecutor(dask_address) as executor:
        running = cs.arun(train().with_constraints(gpu=5), executor=executor, system_resources={"gpu": 8})
        waiting = asyncio.create_task(running)
        await _until(lambda: bool(caplog.records))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    (told,) = {record.getMessage() for record in caplog.records}
    assert "task 'train' waits for a worker that has gpu=5" in told
    assert told.endswith("have: gpu=4")


async def test_a_call_that_runs_is_waited_for_when_it_is_cancelled(dask_address: str, tmp_path: Path) -> None:
    """The cancelled call ends when it has really ended, and gives its value all the same."""
    async with DaskExecutor(dask_address) as executor:
        begun, go = tmp_path / "begun", tmp_path / "go"
        call = asyncio.create_task(executor.execute(_node(hold_until), (str(begun), str(go)), {}))
        await _until(begun.exists)
        call.cancel()
        done, _ = await asyncio.wait([call], timeout=0.5)
        assert not done
        go.touch()
        assert await call == "held"


async def test_calls_that_have_not_begun_end_at_once_when_they_are_cancelled(
    dask_address: str, tmp_path: Path
) -> None:
    """They are never made, although the cluster had them already; those that run are waited for."""
    begun, go = tmp_path / "begun", tmp_path / "go"
    async with DaskExecutor(dask_address) as executor:
        paths = (str(begun), str(go))
        calls = [asyncio.create_task(executor.execute(_node(hold_until), paths, {})) for _ in range(6)]
        await _until(lambda: begun.exists() and begun.read_text() == "bb")
        for each in calls:
            each.cancel()
        await _until(lambda: sum(each.done() for each in calls) == 4)
        go.touch()
        ends = await asyncio.gather(*calls, return_exceptions=True)
        assert ends.count("held") == 2
        assert {type(each) for each in ends} == {str, asyncio.CancelledError}
        assert await executor.execute(_node(square), (2,), {}) == 4
        assert begun.read_text() == "bb"


async def test_a_client_that_is_handed_in_stays_open(dask_address: str) -> None:
    """An executor uses the client of a program, in this event loop, and does not close it."""
    from distributed import Client

    connect: Any = Client
    async with connect(dask_address, asynchronous=True, set_as_default=False) as client:
        executor = DaskExecutor(client)
        assert await cs.arun(square(3), executor=executor) == 9
        await executor.close()
        assert client.status == "running"
    with pytest.raises(ClusterGoneError, match="the client is closed"):
        await cs.arun(square(3), executor=executor)


def test_a_client_with_a_thread_of_its_own_serves_too(dask_address: str) -> None:
    """The usual, synchronous client can be handed in as well."""
    from distributed import Client

    connect: Any = Client
    with connect(dask_address, set_as_default=False) as client:
        executor = DaskExecutor(client)
        assert cs.run(add(square(3), 1), executor=executor) == 10
        assert cs.run(square.map(x=[1, 2, 3]), executor=executor) == [1, 4, 9]
        assert client.status == "running"


async def test_closing_waits_for_calls_under_way(dask_address: str, tmp_path: Path) -> None:
    """A run goes on when its executor is closed: its calls under way end, and later ones connect anew."""
    await check_closed_during_a_run(DaskExecutor(dask_address), tmp_path)


async def test_a_client_that_is_closed_meanwhile_ends_its_calls(dask_address: str, tmp_path: Path) -> None:
    """Its thread ends with it, and nothing will be heard there: what is under way fails, and what is still to come."""
    from distributed import Client

    connect: Any = Client
    begun, go = tmp_path / "begun", tmp_path / "go"
    client = await asyncio.to_thread(connect, dask_address, set_as_default=False)
    executor = DaskExecutor(client)
    call = asyncio.create_task(executor.execute(_node(hold_until), (str(begun), str(go)), {}))
    await _until(begun.exists)
    await asyncio.to_thread(client.close)
    with pytest.raises(ClusterGoneError):
        await call
    go.touch()
    with pytest.raises(ClusterGoneError):
        await executor.execute(_node(square), (2,), {})
    await executor.close()


def _facts(task: AnyTask) -> Any:
    from cascade.runtime.protocols import CallFacts

    return CallFacts("run", task.name)
