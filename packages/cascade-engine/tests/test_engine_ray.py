"""Calls on Ray: where they are made, what comes back, what stays, what happens when workers die.

Each claim is tried on a real Ray of this machine.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.chunk_tasks import Part, calls_in, play
from support.closing import check_closed_during_a_run
from support.remote_tasks import (
    Odd,
    add,
    blob,
    count_down,
    die,
    die_first,
    facts,
    fail,
    fail_first,
    fail_stubbornly,
    give_lock,
    give_trap,
    hold,
    length,
    note,
    square,
    take,
    where,
)
from support.resident_memory import peak_growth

import cascade as cs
from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    RemoteError,
    WorkerDiedError,
    WorkerLoadError,
)
from cascade.adapters.executors.ray import RayExecutor
from cascade.adapters.executors.ray_cluster.worker_side import make_calls_on_ray
from cascade.adapters.executors.remote_calls.remote_executor import Answer, SentRequest
from cascade.adapters.executors.remote_calls.remote_handles import RemoteHandle
from cascade.graph.nodes import Node
from cascade.runtime.exceptions import TaskTimeoutError
from cascade.spec.errors import SpecError
from cascade.spec.task import AnyTask
from cascade.testing import ExecutorConformance

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("ray_cluster")]


class TestRayConformance(ExecutorConformance):
    def make_executor(self) -> RayExecutor:
        return RayExecutor()


def _node(task: AnyTask) -> Node:
    return Node("n0", task.name, callable_obj=task.func, task=task)


async def _stayed(executor: RayExecutor, task: AnyTask, *args: object) -> RemoteHandle:
    handle = await executor.execute_to_handle(_node(task), args, {})
    assert isinstance(handle, RemoteHandle)
    return handle


# What a call means does not depend on where it is made


def test_a_word_names_ray() -> None:
    """`executor="ray"` uses the Ray that the program has initialised, and leaves it running."""
    import ray

    process, _ = cs.run(where(), executor="ray")
    assert process != os.getpid()
    assert cs.run(add(square(3), y=square(2)), executor="ray") == 13
    assert ray.is_initialized()


async def test_code_without_a_module_goes_by_value() -> None:
    """A task that no worker can import goes there with its code, and what it returns holds the very same task."""
    factor = 3

    @cs.task
    def times(x: int) -> int | cs.LazyResult[int]:
        return factor * x if x > 1 else times(x + 1)

    executor = RayExecutor()
    assert await cs.arun(times(0), executor=executor) == 6
    lazy: Any = await executor.execute(_node(times), (1,), {})
    assert lazy.task is times


async def test_facts_travel_with_a_call() -> None:
    """`cs.current_call()` tells a worker the run, the task, the item and the attempt."""
    values = await cs.arun(facts.map(x=[0, 0]), executor="ray")
    run_id = values[0][0]
    assert run_id
    assert values == [(run_id, "facts", 0, 1), (run_id, "facts", 1, 1)]


async def test_lazy_results_that_come_back_are_run() -> None:
    """Tail calls go round as they do here."""
    assert await cs.arun(count_down(5), executor="ray") == 0


# Failures


async def test_the_original_exception_arrives() -> None:
    """It is of its class, without Ray's wrapper, has its attributes, and the traceback in the worker as a note."""
    with pytest.raises(Odd, match="wrong") as caught:
        await cs.arun(fail("wrong"), executor="ray")
    assert type(caught.value) is Odd
    assert caught.value.code == 7
    assert any("remote_tasks.py" in note and "in fail" in note for note in caught.value.__notes__)


async def test_what_cannot_be_sent_is_named() -> None:
    """Arguments, results and exceptions that can't be pickled are errors of their call, and of no other."""
    with pytest.raises(BoundaryError, match="argument 'value' of task 'take'"):
        await cs.arun(take(asyncio.get_running_loop()), executor="ray")
    with pytest.raises(BoundaryError, match="the result of task 'give_lock'"):
        await cs.arun(give_lock(), executor="ray")
    with pytest.raises(BoundaryError, match=r"the result of task 'give_trap'.*sprung"):
        await cs.arun(give_trap(), executor="ray")
    with pytest.raises(RemoteError, match="Stubborn: no"):
        await cs.arun(fail_stubbornly("no"), executor="ray")
    assert await cs.arun(square(3), executor="ray") == 9


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("cascade.py", "raise ModuleNotFoundError('no Cascade')", "failed to import on the worker"),
        (
            "sitecustomize.py",
            "from importlib import metadata; metadata.version = lambda _: '0.0.9'",
            "this worker has cascade-engine 0.0.9, and the run has",
        ),
    ],
)
async def test_workers_that_lack_cascade_or_have_another_version_are_told_of(
    tmp_path: Path, file: str, text: str, problem: str
) -> None:
    """The call fails with an error that says so, and is not made."""
    import ray

    (tmp_path / file).write_text(text)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment: Any = {"env_vars": {"PYTHONPATH": paths}}
    executor = RayExecutor()
    # As if the cluster had been given other workers.
    executor._remote = ray.remote(num_returns=2, max_retries=0, runtime_env=environment)(make_calls_on_ray)  # noqa: SLF001
    with pytest.raises(WorkerLoadError, match=problem) as caught:
        await cs.arun(note(str(tmp_path / "made"), "x"), executor=executor)
    assert caught.value.task == "note"
    assert not (tmp_path / "made").exists()


async def test_retries_are_the_engines(tmp_path: Path) -> None:
    """A call that fails is made as often as its policy says, and no more."""
    assert await cs.arun(fail_first(str(tmp_path)).with_retry(3), executor="ray") == 5
    assert (tmp_path / "called").read_text() == "xx"


async def test_a_call_whose_worker_dies_is_made_once(tmp_path: Path) -> None:
    """The death of a worker is a typed error, and Ray does not make the call again."""
    path = tmp_path / "calls"
    with pytest.raises(WorkerDiedError, match="die"):
        await cs.arun(die(str(path)), executor="ray")
    assert path.read_text() == "x"


async def test_a_retry_after_a_death_gets_another_worker(tmp_path: Path) -> None:
    """The retry policy of a call handles the death of its worker like any failure."""
    path = tmp_path / "calls"
    assert await cs.arun(die_first(str(path)).with_retry(2), executor="ray") == 5
    assert path.read_text() == "xx"


async def test_a_dead_worker_fails_the_call_under_way_and_no_other(tmp_path: Path) -> None:
    """A worker that dies in a chunk fails one item; those before it keep their values, and none is made twice."""
    ledger = tmp_path / "ledger"
    items = [(number, Part.DIE if number in (20, 45) else Part.GIVE) for number in range(60)]
    mapped = play.partial(ledger=str(ledger)).map(item=items)
    with pytest.raises(ExceptionGroup) as caught:
        await cs.arun(mapped, executor="ray", on_failure="finish")
    assert [type(each) for each in caught.value.exceptions] == [WorkerDiedError] * 2
    assert calls_in(str(ledger)) == dict.fromkeys(range(60), 1)
    ledger.unlink()
    values = await cs.arun(play.partial(ledger=str(ledger)).map(item=items).with_retry(1), executor="ray")
    assert values == [2 * number for number in range(60)]
    assert calls_in(str(ledger)) == {number: 2 if number in (20, 45) else 1 for number in range(60)}


async def test_a_timeout_ends_the_call(tmp_path: Path) -> None:
    """The worker is killed: what the call would have done after that never happens."""
    path = tmp_path / "held"
    with pytest.raises(TaskTimeoutError):
        await cs.arun(hold(str(path), 600.0).with_timeout(1.0), executor="ray")
    assert path.read_text() == "b"


def test_wrong_words_are_refused_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each names what it can't be and what to write."""
    with pytest.raises(SpecError, match=r"write \"raise\" or \"rerun\""):
        RayExecutor(on_lost="retry")
    with pytest.raises(SpecError, match="number from 1 on"):
        RayExecutor(per_cpu=0)
    with pytest.raises(SpecError, match="give an address"):
        RayExecutor("")
    for address in ("ray://localhost:notaport", "ray://localhost:", "localhost:65536", ":6379"):
        with pytest.raises(SpecError, match=f"'{address}'(.|\n)*ray://host:10001 or host:6379"):
            RayExecutor(address)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(
            SpecError, match=f"RAY_ADDRESS(.|\n)*'{address}'(.|\n)*ray://host:10001 or host:6379"
        ):
            RayExecutor()
    with pytest.raises(SpecError, match="ray://host:10001"):
        cs.run(square(3), executor="ray://")


async def test_closing_waits_for_calls_under_way(tmp_path: Path) -> None:
    """A run goes on when its executor is closed: its calls under way end, and later ones connect anew."""
    await check_closed_during_a_run(RayExecutor(), tmp_path)


# Values that stay


async def test_large_values_stay_and_small_ones_come() -> None:
    """A large value is a handle that other calls take; a small one comes with the message that its call has ended."""
    executor = RayExecutor()
    large = await _stayed(executor, blob, 100_000)
    assert await executor.execute_to_handle(_node(length), (large,), {}) == 100_000
    assert await executor.execute_to_handle(_node(take), ([large, {"k": large}],), {}) == "list"
    assert await large.fetch() == bytes(100_000)
    assert await executor.execute_to_handle(_node(blob), (10,), {}) == bytes(10)


async def test_a_change_to_an_argument_is_not_seen_by_other_calls() -> None:
    """Calls that go to a worker together get objects of their own, also of a value that stayed."""

    @cs.task
    def numbers() -> list[int]:
        return [1] * 30_000

    @cs.task
    def add_one(given: list[int]) -> int:
        given.append(1)
        return len(given)

    given = numbers()
    assert await cs.arun(cs.gather(*[add_one(given) for _ in range(40)]), executor="ray") == [30_001] * 40


async def test_what_is_fetched_is_a_copy() -> None:
    """An array that comes here can be written, and does not lie in Ray's store. Workers share what lies there."""

    @cs.task
    def ones(count: int) -> Any:
        import numpy

        return numpy.ones(count)

    @cs.task
    def is_shared(array: Any) -> bool:
        return not array.flags.writeable

    array = await cs.arun(ones(100_000), executor="ray")
    array[0] = 2
    assert array.sum() == 100_001
    assert await cs.arun(is_shared(ones(100_000)), executor="ray")


@pytest.mark.parametrize("megabytes", [50, pytest.param(500, marks=pytest.mark.soak)])
async def test_values_that_pass_between_workers_take_no_memory_here(megabytes: int) -> None:
    """Four large values go from worker to worker; the peak memory of this process grows by less than 10 MB.

    What is measured is all that this process has in memory, of the store that it shares with the workers too.
    """

    @cs.task
    def make(size: int) -> Any:
        import numpy

        return numpy.ones(size, dtype="u1")

    @cs.task
    def passed(array: Any) -> Any:
        return array

    @cs.task
    def size(array: Any) -> int:
        return int(array.size)

    def chains() -> list[Any]:
        return [size(passed(make((megabytes << 20) + number))) for number in range(4)]

    await cs.arun([size(passed(make(1 << 20)))], executor="ray")  # what is there once is there
    with peak_growth() as grown:
        assert len(await cs.arun(chains(), executor="ray", max_concurrency=1)) == 4
    assert grown.megabytes < 10


# Amounts, chunks, and a Ray of our own


async def test_amounts_are_rays_resources() -> None:
    """`gpu`, `cpu` and what its machines declare are taken from Ray; other amounts are counted by the engine alone."""

    @cs.task
    def assigned() -> dict[str, float]:
        import ray

        context: Any = ray.get_runtime_context()
        found: dict[str, float] = context.get_assigned_resources()
        return found

    system = {"gpu": 1, "cpu": 2, "licence": 1, "seats": 3}
    call = assigned().with_constraints(gpu=1, cpu=2, licence=1, seats=3)
    assert await cs.arun(call, executor="ray", system_resources=system) == {"CPU": 2, "GPU": 1, "licence": 1}
    assert await cs.arun(assigned(), executor="ray") == {"CPU": 1}


class _Counting(RayExecutor):
    """Counts what goes to Ray, and how much of it is out at once."""

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


async def test_maps_go_out_in_chunks() -> None:
    """Many short items are few requests, and no more are out than Ray has processors."""
    executor = _Counting()
    assert await cs.arun(square.map(x=range(2000)), executor=executor) == [x * x for x in range(2000)]
    assert executor.sent < 500
    assert executor.most <= 2


PROGRAM = """
import signal, sys, threading
import cascade as cs

class Money:
    def __init__(self, amount):
        self.amount = amount

class Broke(Exception):
    pass

@cs.task
def pay(money):
    return Money(2 * money.amount)

@cs.task
def overdraw():
    raise Broke("nothing left")

if __name__ == "__main__":
    import logging
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), logging.root.handlers[:]
    from cascade.adapters.executors.ray import RayExecutor
    executor = RayExecutor()
    value = cs.run(pay(Money(4)), executor=executor)
    print(type(value) is Money, value.amount)
    try:
        cs.run(overdraw(), executor=executor)
    except Broke as error:
        print(error)
    print(before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), logging.root.handlers))
    import ray
    print(ray.is_initialized())
    if sys.argv[1] == "close":
        import asyncio
        asyncio.run(executor.close())
        print(ray.is_initialized())
"""


@pytest.mark.parametrize("end", ["close", pytest.param("leave", marks=pytest.mark.soak)])
def test_a_ray_of_our_own_says_nothing_and_ends(end: str, tmp_path: Path) -> None:
    """Without an address, Ray is started, with no word and no handler of signals, and it ends with the executor.

    If nobody closes that, Ray ends with the program. Code of `__main__` goes by value.
    """
    script = tmp_path / "trip.py"
    script.write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, script, end], capture_output=True, text=True, check=False, env=environment
    )
    closed = ["False"] if end == "close" else []
    assert done.stdout.split("\n") == ["True 8", "nothing left", "True", "True", *closed, ""], done.stderr
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.soak
def test_lost_values_are_typed_errors_or_computed_again() -> None:
    """A value whose machine has gone is a `HandleLostError` that names its task, or is there again with `on_lost`."""
    assert _said_by("lost_values") == ["HandleLostError make", "HandleLostError make", "30000000"]


@pytest.mark.soak
def test_a_client_reaches_a_cluster_elsewhere() -> None:
    """`ray://host:port` goes through Ray Client: values, failures, deaths, timeouts and values that stay."""
    expected = ["9", "ValueError no", "WorkerDiedError", "TaskTimeoutError", "1000000", "[0, 1, 4]"]
    assert _said_by("ray_client") == expected


def _said_by(name: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"from support.ray_programs import {name}; {name}()"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "tests")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [line[2:] for line in done.stdout.splitlines() if line.startswith("> ")]


FLOW = """
import cascade as cs

@cs.task
def where():
    import ray
    return ray.get_runtime_context().gcs_address

def flow():
    return where()
"""


def test_the_address_in_the_environment_is_used(ray_cluster: str, tmp_path: Path) -> None:
    """`--executor ray` connects to the cluster that `RAY_ADDRESS` names; code of the file goes there by value."""
    (tmp_path / "flow.py").write_text(FLOW)
    done = subprocess.run(
        [sys.executable, "-m", "cascade.cli", "run", "flow.py", "--executor", "ray"],
        cwd=tmp_path,
        env={**os.environ, "RAY_ADDRESS": ray_cluster},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ray_cluster in done.stdout, done.stderr
    assert done.returncode == 0


@pytest.mark.soak
def test_workers_get_what_their_environment_says() -> None:
    """`runtime_env` goes to a Ray that is started for it."""
    assert _said_by("runtime_environment") == ["7"]


@pytest.mark.soak
def test_executors_of_a_process_share_its_ray() -> None:
    """The last one shuts down what was started, and another address is refused meanwhile."""
    assert _said_by("connections") == ["9 9", "SpecError", "16", "False", "25"]


@pytest.mark.soak
def test_a_cluster_that_does_not_answer_is_one_clear_error() -> None:
    """It names the address, what was tried and what to check."""
    kind, problem = _said_by("nobody_there")
    assert kind == "ClusterGoneError ray://127.0.0.1:9"
    assert problem.startswith(
        "nobody listens as its Ray Client server, at 127.0.0.1:9; check that `ray start --head`"
    )
