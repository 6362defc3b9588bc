"""Claims about runs whose server fails: a typed error in time, nothing lost, and the run goes on."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis
from support.journals import SilentJournal, WatchedJournal
from support.loops import now
from support.proxy import Fault, Proxy
from support.redis_server import RedisProcess
from support.resuming import WANTED, Seen, play, sixty
from support.stores import path_of, recorded

from cascade.adapters.state import SqliteStateBackend
from cascade.adapters.state.journal import Changes
from cascade.graph import build_graph
from cascade.runtime import Engine, Event, MessageBus, Status, TaskExecutionFinished, TaskExecutionStarted
from cascade.spec import RunActiveError, StoreError
from cascade.spec.durable import RunRecord

pytestmark = pytest.mark.usefixtures("story")

WITHIN = 5.5
"""Seconds of waiting in which a run has to tell an error: 5, and some for a server on a busy machine."""

FIRST = {node.id for node in build_graph(sixty()).nodes}
"""The ids of the first tree; trees that calls return are numbered as they come, in each process."""


@dataclass
class Attempt(Seen):
    """What one run showed, through a proxy. `kept` has the ids of the calls that the store has said to have."""

    calls_of_store: int = 0
    seconds: float = 0.0  # from the first fault to the end
    kept: set[str] = field(default_factory=set)

    @property
    def begun(self) -> set[str]:
        """The ids of the first tree's calls that were made."""
        return FIRST & {each.task_id for each in self.events if isinstance(each, TaskExecutionStarted)}

    @property
    def given(self) -> set[str]:
        """The ids of the first tree's calls that have given a value."""
        return FIRST & {
            each.task_id
            for each in self.events
            if isinstance(each, TaskExecutionFinished) and each.status is Status.SUCCEEDED
        }


async def attempt(
    url: str, run_id: str, at: int = 0, fault: Fault = Fault.UNSENT, stays: bool = False
) -> Attempt:
    """Run sixty nodes, with a fault at a call of the store if one is given."""
    seen = Attempt()
    written: set[str] = set()

    def begin(changes: Changes) -> None:
        written.update(seen.given)

    async with Proxy(url, at, fault, stays) as proxy:
        make = recorded(
            proxy.url,
            lambda journal: WatchedJournal(journal, begin, lambda changes: seen.kept.update(written)),
            lease_seconds=0.3,
        )
        bus = MessageBus()
        bus.subscribe(Event, seen.events.append)
        async with Engine(bus=bus, state_backend_cls=make) as engine:
            try:
                seen.value = await engine.run(sixty(), run_id=run_id)
            except Exception as error:  # noqa: BLE001 - is looked at
                seen.error = error
        seen.seconds = now() - (proxy.failed_at or now())
        seen.calls_of_store = proxy.calls
    seen.check_ends()
    return seen


async def check_fault(url: str, at: int, fault: Fault, stays: bool, calls: set[str]) -> bool:
    """Check a run with one fault, and that it goes on without it; return whether the fault was met."""
    run_id = f"{fault.name} {at} {stays}"
    first = await attempt(url, run_id, at, fault, stays)
    assert first.seconds < WITHIN
    assert first.error is None or isinstance(first.error, StoreError), first.error
    again = await attempt(url, run_id)
    if isinstance(
        again.error, RunActiveError
    ):  # what the server did late has renewed the lease: that is waited for
        again = await attempt(url, run_id)
    assert again.value == WANTED, again.error
    assert first.begun | again.begun == calls
    assert again.begun.isdisjoint(first.kept)
    return first.calls_of_store >= at


@pytest.mark.idle_time
@pytest.mark.parametrize("stays", [False, True], ids=["for a moment", "for good"])
@pytest.mark.parametrize("fault", [Fault.UNSENT, Fault.UNTOLD])
async def test_a_connection_that_is_lost_at_any_call(server_url: str, fault: Fault, stays: bool) -> None:
    """Whichever call loses its connection: the run ends, well or with a typed error; nothing is lost; it goes on."""
    alone = await attempt(server_url, "alone")
    assert alone.value == WANTED
    at = 1
    while await check_fault(server_url, at, fault, stays, alone.begun):
        at += 1
    assert at > 12


@pytest.mark.idle_time
@pytest.mark.parametrize("stays", [False, True], ids=["for a moment", "for good"])
async def test_a_server_that_falls_silent_at_any_call(server_url: str, stays: bool) -> None:
    """Whichever call gets no answer: a typed error within 5 seconds, what was written stands, and the run goes on."""
    alone = await attempt(server_url, "alone")
    every = range(1, alone.calls_of_store + 4)
    checks = [check_fault(server_url, at, Fault.SILENT, stays, alone.begun) for at in every]
    met = list(await asyncio.gather(*checks))
    assert met.count(True) > 12


async def test_a_server_without_room_at_any_size(redis_url: str) -> None:
    """A server that can take no more is a typed error, and with room again the run goes on from what fitted."""
    alone = await play(redis_url, sixty(), run_id="alone")
    seen = set()
    with closing(redis.Redis.from_url(redis_url)) as client:
        for more in range(0, 40_000, 2_000):
            client.flushall()
            client.memory_purge()
            client.config_set("maxmemory", int(client.info("memory")["used_memory"]) + 60_000 + more)
            try:
                first = await play(redis_url, sixty())
            finally:
                client.config_set("maxmemory", 0)
            seen.add(type(first.error))
            assert first.error is None or isinstance(first.error, StoreError)
            again = await play(redis_url, sixty())
            assert again.value == WANTED
            assert set(first.calls) | set(again.calls) == set(alone.calls)
    assert StoreError in seen


@pytest.mark.server
async def test_a_server_that_is_killed_and_comes_back(tmp_path: Path) -> None:
    """A server that is killed at any batch of a run, and started again on its file, has lost nothing of the run."""
    with RedisProcess(tmp_path, persistent=True) as server:
        alone = await play(server.url, sixty(), run_id="alone")
        for at in range(1, 12, 3):
            batches: list[Changes] = []

            def note(changes: Changes, at: int = at, batches: list[Changes] = batches) -> None:
                batches.append(changes)
                if len(batches) == at:
                    server.stop(kill=True)

            make = recorded(server.url, lambda journal: WatchedJournal(journal, ends=note), lease_seconds=0.3)
            first = await play(server.url, sixty(), make=make, run_id=f"{at}")
            assert isinstance(first.error, StoreError)
            server.start()
            again = await play(server.url, sixty(), run_id=f"{at}")
            assert again.value == WANTED
            assert set(first.calls) | set(again.calls) == set(alone.calls)


@pytest.mark.idle_time
async def test_a_journal_that_never_returns_ends_the_run_in_time(file_url: str) -> None:
    """A call of a journal that never returns is a typed error within 5 seconds; one that is seen through counts."""

    async def ends(at: int, stays: float = 0.0) -> object:
        make = recorded(file_url, lambda journal: SilentJournal(journal, at, stays=stays))
        async with Engine(state_backend_cls=make) as engine:
            began = now()
            try:
                return await engine.run(sixty(), run_id=f"{at} {stays}")
            except StoreError as error:
                assert now() - began < WITHIN
                return str(error)

    told = "store SilentJournal: the store does not answer in time"
    assert list(await asyncio.gather(ends(1), ends(3), ends(3, stays=4.8))) == [told, told, WANTED]
    assert (await play(file_url, sixty(), run_id="1 0.0")).value == WANTED
    assert (await play(file_url, sixty(), run_id="3 0.0")).value == WANTED
    assert (await play(file_url, sixty(), run_id="3 4.8")).calls == []


async def test_a_cancelled_commit_is_seen_through_and_ends(file_url: str) -> None:
    """Who is cancelled while a store commits ends when that is done, cancelled, and the facts are there."""
    state = SqliteStateBackend(path_of(file_url), run_id="r")
    assert await state.open() is None
    state.begin(RunRecord("task", "", (), {}, {}, b"", 2))
    committing = asyncio.ensure_future(state.commit())
    await asyncio.sleep(0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await state.close()
    assert await state.open() is not None
    await state.close()
