"""A recorded run with a ledger outside, whose workers or drivers are killed while it goes on.

Imported by a program of its own, since it forks. A line of the ledger is one charge: the idempotency key of the call,
the driver and the worker.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from cascade.adapters.executors import WorkerDiedError
from cascade.runtime import Engine
from support.charging import DRIVER, charge
from support.dask_cluster import DaskCluster
from support.killable import begin, calls, empty, end, kept, tell
from support.stores import recorded

HANGS = 300.0
"""Seconds without a charge after which a run counts as hanging."""


class Pace(NamedTuple):
    """How many calls there are, how long one takes, and after how many seconds or charges the next kill comes."""

    calls: int
    call_seconds: float
    kill_seconds: float
    kill_charges: int


class Charge(NamedTuple):
    """A line of the ledger."""

    call: str
    key: str
    driver: int
    worker: int


def charges() -> list[Charge]:
    fields = (line.split(",") for line in calls())
    return [Charge(call, key, int(driver), int(worker)) for call, key, driver, worker in fields]


def drive(url: str, pace: Pace, executor: str) -> list[str]:
    """Charge all, half of them as items of a map and half as calls of their own; a worker that dies is no failure."""
    DRIVER.set(os.getpid())
    half = pace.calls // 2
    # Each kill costs the item that is under way one attempt.
    items = charge.partial(seconds=pace.call_seconds).map(range(half)).with_retry(50, on=WorkerDiedError)
    single = [
        charge(number, pace.call_seconds).with_retry(50, on=WorkerDiedError)
        for number in range(half, pace.calls)
    ]

    async def main() -> list[str]:
        carry = {"driver": DRIVER}
        async with Engine(state_backend_cls=recorded(url), executor=executor, carry=carry) as engine:
            first, *rest = await engine.run([items, *single], run_id="r")
            return [*first, *rest]

    return asyncio.run(main())


def moments(pace: Pace, child: int) -> Iterator[None]:
    """Give the moments for a kill, until the process has ended."""
    last, charged, moved = time.monotonic(), len(calls()), time.monotonic()
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        now, number = time.monotonic(), len(calls())
        assert now - moved < HANGS, "no charge for too long"
        if number > charged and now - last >= pace.kill_seconds and number - charged >= pace.kill_charges:
            last, charged = now, number
            yield
        if number > charged:
            moved = now
        time.sleep(0.01)


def check(pace: Pace, value: list[str], killed: set[int], by_worker: bool) -> None:
    """Check that nothing is lost, and that each charge of a key but one is of a process that was killed."""
    assert value == [f"part-{number}-" for number in range(pace.calls)]
    of_key: dict[str, list[Charge]] = {}
    for each in charges():
        of_key.setdefault(each.key, []).append(each)
    assert len(of_key) == pace.calls
    more = 0
    for found in of_key.values():
        assert len({each.call for each in found}) == 1, found
        who = [each.worker if by_worker else each.driver for each in found]
        assert len(set(who)) == len(who), f"charged twice by one process: {found}"
        assert len([each for each in who if each not in killed]) <= 1, (
            f"charged again without a death: {found}"
        )
        more += len(who) - 1
    tell(f"{len(killed)} killed, {more} charged again")


def kill_workers(url: str, pace: Pace, executor: str) -> None:
    """Kill one worker after the other under a run."""
    child, pipe = begin(lambda: drive(url, pace, executor))
    killed: set[int] = set()
    for _ in moments(pace, child):
        worker = charges()[-1].worker
        with suppress(ProcessLookupError):
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
    text, status = end(child, pipe)
    assert status == 0, f"status {status}"
    assert killed, "the run ended before a kill"
    check(pace, eval(text), killed, by_worker=True)


def kill_drivers(url: str, pace: Pace, executor: str) -> None:
    """Kill one driver after the other; each time another process goes on with the run."""
    killed: set[int] = set()
    known: dict[int, set[str]] = {}
    while True:
        recorded_before = kept(url)
        child, pipe = begin(lambda: drive(url, pace, executor))
        known[child] = recorded_before
        for _ in moments(pace, child):
            os.kill(child, signal.SIGKILL)
            killed.add(child)
        text, status = end(child, pipe)
        if not os.WIFSIGNALED(status):
            break
    assert status == 0, f"status {status}"
    assert killed, "the run ended before a kill"
    killed.discard(child)  # it had ended when it was to be killed
    check(pace, eval(text), killed, by_worker=False)
    for each in charges():
        assert each.call not in known[each.driver], f"recorded, and charged again: {each}"


def main(victims: str, folder: Path, server: str, pace: str, executor: str) -> None:
    """Kill `workers` or `drivers` of a run that is recorded in a server, or in a file if none is given.

    The calls go to an executor; for `dask` that is a cluster of two workers, which stay when a driver is killed.
    """
    os.chdir(folder)
    url = empty(server, folder / "runs")
    number, call_seconds, kill_seconds, kill_charges = pace.split(",")
    given = Pace(int(number), float(call_seconds), float(kill_seconds), int(kill_charges))
    kill = kill_workers if victims == "workers" else kill_drivers
    if executor != "dask":
        kill(url, given, executor)
        return
    cluster = DaskCluster(folder, folder / "ledger")
    try:
        kill(url, given, cluster.address.replace("tcp://", "dask://"))
    finally:
        cluster.stop()
