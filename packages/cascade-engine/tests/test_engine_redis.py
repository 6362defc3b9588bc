"""Claims about runs in Redis: who may write, what a server that fails costs, what is shown of a store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import redis
from support.journals import BEGUN, fact
from support.loops import now
from support.redis_server import RedisProcess
from support.stores import LEASE_SECONDS

import cascade as cs
from cascade.adapters.addresses import address_of
from cascade.adapters.state import RedisCatalog, RedisStateBackend
from cascade.adapters.state.journal import Changes, Durability
from cascade.adapters.state.redis.redis_journal import RedisJournal
from cascade.spec import (
    MissingExtraError,
    RunActiveError,
    RunLostError,
    SpecError,
    StoreError,
    StoreFormatError,
)

WITHIN = 5.0
"""Seconds of waiting in which an error has to be told."""
LEASE = b"cascade:state:lease:run"


@pytest.fixture
def url(redis_server: RedisProcess) -> str:
    redis_server.ask(b"FLUSHALL")
    return redis_server.url


@pytest.fixture
def persistent(tmp_path: Path) -> Iterator[RedisProcess]:
    with RedisProcess(tmp_path, persistent=True) as server:
        yield server


def journal(url: str, run_id: str = "run", lease_seconds: float = LEASE_SECONDS) -> RedisJournal:
    return RedisJournal(url, run_id, Durability.SYNC, lease_seconds=lease_seconds)


async def check_refused(one: RedisJournal) -> None:
    with pytest.raises(RunActiveError, match=r"run 'run' in store redis://\S+ is being driven by process"):
        await one.open()
    await one.close()


# Who may write


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_that_was_taken_over_says_so_whatever_else_became_of_it(url: str, fails: bool) -> None:
    """A run that ends after another process took it over and ended it raises that, or notes it on its own error."""

    @cs.task
    def lose() -> int:
        with closing(redis.Redis.from_url(url)) as client:
            client.set("cascade:state:owner:run", b"token process 7 on elsewhere")
            client.delete("cascade:state:lease:run")
        if fails:
            raise ValueError("bad row")
        return 1

    with pytest.raises(ValueError if fails else RunLostError) as caught:
        cs.run(lose(), state=url, run_id="run")
    told = [str(caught.value), *getattr(caught.value, "__notes__", ())]
    assert any("has been taken over by process 7 on elsewhere" in each for each in told)


async def test_a_lease_that_ran_out_unseen_is_taken_again(url: str) -> None:
    """Who held up its event loop for longer than its lease goes on if nobody has taken the run meanwhile."""
    one = journal(url)
    await one.open()
    await one.write(BEGUN)
    with closing(redis.Redis.from_url(url)) as client:
        client.delete(LEASE)
    await one.write(Changes(facts=[fact(1)]))
    await check_refused(journal(url))
    await one.close()


async def test_a_lease_is_renewed(url: str) -> None:
    """A run that is driven without a write stays its driver's for longer than the lease lasts."""
    seconds = 0.2
    one, two = journal(url, lease_seconds=seconds), journal(url)
    await one.open()
    with closing(redis.Redis.from_url(url)) as client:
        for _ in range(3):
            client.pexpire(LEASE, 3_600_000)  # a renewal says anew how long it lasts
            while client.pttl(LEASE) > 1000 * seconds:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
    await one.close()
    await two.open()
    await two.close()


HOLDER = """
import asyncio, sys
from cascade.adapters.state import RedisStateBackend
from cascade.spec.digest_rules import DIGEST_RULES
from cascade.spec.durable import FactLabel, RunRecord
from cascade.testing.conformance.sample_keys import node_at

async def main():
    state = RedisStateBackend(sys.argv[1], run_id="run", lease_seconds=1.0)
    await state.open()
    state.begin(RunRecord("task", "", (), {}, {}, b"", DIGEST_RULES))
    state.keep_result(node_at(), "kept", FactLabel("task", "root"))
    await state.commit()
    state.keep_result(node_at(1), "lost", FactLabel("task", "root"))
    print("driving", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_a_newcomer_waits_for_the_lease_of_the_dead(url: str) -> None:
    """A run whose process was killed can be taken over once its lease ends; what was committed is there."""
    from cascade.testing.conformance.sample_keys import node_at

    holder = subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "driving\n"
        holder.send_signal(signal.SIGKILL)

    state = RedisStateBackend(url, run_id="run", lease_seconds=1.0)
    began = now()
    assert await state.open() is not None
    assert now() - began < 20.0  # and not for as long as the dead one might have worked
    assert state.get_result(node_at()) == "kept"
    assert not state.has_result(node_at(1))
    await state.close()


async def test_nothing_is_left_of_a_run_that_was_not_begun(url: str) -> None:
    """A run that was opened and closed without a write leaves no key of its own."""
    one = journal(url)
    assert await one.open() is None
    await one.close()
    with closing(redis.Redis.from_url(url)) as client:
        assert client.keys() == [b"cascade:state:format"]


# What a server that fails costs

calls: list[str] = []
servers: list[RedisProcess] = []


@cs.task
def first() -> str:
    calls.append("first")
    return "first"


@cs.task
def kill_once(value: str) -> str:
    calls.append("kill")
    if servers:
        servers.pop().stop(kill=True)
    return f"{value} killed"


@cs.task
def last(value: str) -> str:
    calls.append("last")
    return f"{value} last"


@pytest.mark.idle_time
async def test_a_run_outlives_its_server(persistent: RedisProcess) -> None:
    """A server that is killed ends the run with a `StoreError` in time; with its file it goes on where the run was."""
    calls.clear()
    servers[:] = [persistent]
    target = last(kill_once(first()))
    began = now()
    with pytest.raises(StoreError, match=r"store redis://127\.0\.0\.1:\d+/0: "):
        await cs.arun(target, state=persistent.url, run_id="run")
    assert now() - began < WITHIN
    persistent.start()
    with closing(redis.Redis.from_url(persistent.url)) as client:
        client.delete(LEASE)  # so that the test need not wait for it
    assert await cs.arun(target, state=persistent.url, run_id="run") == "first killed last"
    assert calls == ["first", "kill", "kill", "last"]


@pytest.mark.server
@pytest.mark.idle_time
async def test_a_server_that_is_silent_is_told_in_time(tmp_path: Path) -> None:
    """A server that takes a connection and answers nothing is a `StoreError` within 5 seconds, closing included."""

    async def main(server: RedisProcess) -> None:
        one = journal(server.url)
        await one.open()
        await one.write(BEGUN)
        pid = int(server.ask(b"INFO server").split(b"process_id:")[1].split()[0])
        os.kill(pid, signal.SIGSTOP)
        try:
            began = now()
            with pytest.raises(StoreError, match=r"does not answer within 4 s"):
                await one.write(Changes(facts=[fact(1)]))
            await one.close()
            assert now() - began < WITHIN
        finally:
            os.kill(pid, signal.SIGCONT)

    with RedisProcess(tmp_path) as server:
        await main(server)


@pytest.mark.server
def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    """A server that can't be reached is a `StoreError` that names its address without the password."""
    with RedisProcess(tmp_path) as server:
        port = server.port
    with pytest.raises(StoreError, match=rf"store redis://127\.0\.0\.1:{port}/0: ConnectionError") as caught:
        cs.run(first(), state=f"redis://me:secret@127.0.0.1:{port}/0?socket_timeout=1", run_id="run")
    assert "secret" not in str(caught.value)
    with pytest.raises(StoreError) as caught:
        RedisCatalog(f"redis://:secret@127.0.0.1:{port}").runs()
    assert "secret" not in str(caught.value)


async def test_a_server_that_lost_its_data_is_told(url: str) -> None:
    """A writer on a server that forgot everything is refused: what it goes on with is not there."""
    one = journal(url)
    await one.open()
    await one.write(BEGUN)
    with closing(redis.Redis.from_url(url)) as client:
        client.flushall()
    with pytest.raises(StoreError, match=r"its data was deleted or lost"):
        await one.write(Changes(facts=[fact(1)]))
    await one.close()


@pytest.mark.parametrize("lost", ["head:run", "frames:run", "frame:*"])
async def test_facts_that_a_server_dropped_are_missed(url: str, lost: str) -> None:
    """A run of which the server has dropped a key, as one short of memory may, is a `StoreError` when opened."""
    one = journal(url)
    await one.open()
    await one.write(BEGUN)
    await one.write(Changes(facts=[fact(1)]))
    await one.close()
    with closing(redis.Redis.from_url(url)) as client:
        assert client.delete(*client.keys(f"cascade:state:{lost}"))
    with pytest.raises(StoreError, match=r"missing or damaged; begin anew .*noeviction"):
        await one.open()
    await one.close()


async def test_a_store_of_another_version_is_refused(url: str) -> None:
    """A store that a newer version has written is a `StoreFormatError`, and is left as it is."""
    with closing(redis.Redis.from_url(url)) as client:
        client.set("cascade:state:format", 5)
        one = journal(url)
        with pytest.raises(
            StoreFormatError, match=r"is a store of runs of version 5.*use a newer cascade-engine"
        ):
            await one.open()
        await one.close()
        for look in (RedisCatalog(url).runs, lambda: RedisCatalog(url).delete("run")):
            with pytest.raises(StoreFormatError, match="version 5"):
                await asyncio.to_thread(look)
        assert client.keys() == [b"cascade:state:format"]


async def test_a_server_that_forgot_the_scripts_gets_them_again(url: str) -> None:
    """A server whose scripts were flushed is sent them again."""
    one = journal(url)
    await one.open()
    await one.write(BEGUN)
    with closing(redis.Redis.from_url(url)) as client:
        client.script_flush()
    await one.write(Changes(facts=[fact(1)]))
    await one.close()
    loaded = await one.open()
    assert loaded is not None
    assert len(loaded.facts) == 1
    await one.close()


# What is shown of a store


@cs.task
def count_down(number: int) -> int | cs.LazyResult[int]:
    return count_down(number - 1) if number else 0


@pytest.mark.parametrize("keep_rounds", [1, 3])
def test_the_last_rounds_stay_in_the_store(url: str, keep_rounds: int) -> None:
    """Of a loop the facts of the last `keep_rounds` rounds are stored, however many there were; the rest is deleted."""
    assert cs.run(pair(count_down(5), 20), state=url, run_id="run", keep_rounds=keep_rounds) == 20
    kept = {each.round for each in RedisCatalog(url).facts("run")}
    assert kept == set(range(21 - keep_rounds, 21))


@cs.task
def pair(inner: int, number: int) -> int | cs.LazyResult[int]:
    return pair(count_down(5), number - 1) if number else 20


# URLs, and the extra


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://me:secret@host/0", "redis://host/0"),
        ("rediss://:sec@ret@host/0", "rediss://host/0"),
        ("redis://:sec/ret@host/0", "redis://host/0"),
        ("redis://:sec?ret@host/0", "***"),
        ("redis://:sec#ret@host/0", "***"),
        ("redis://host/0?password=secret", "redis://host/0"),
        ("redis://host/0?password=sec@ret", "***"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock"),
        ("secret", "***"),
    ],
)
def test_an_address_shows_no_password(given: str, shown: str) -> None:
    """What is shown of a URL has no part of a password, however it is written."""
    assert address_of(given) == shown


@pytest.mark.parametrize(
    "given", ["redis://:sec/ret@host/0", "http://host", "redis://[::1", "redis://host:secret/0"]
)
def test_a_url_that_makes_no_sense_is_refused(given: str) -> None:
    """A URL that Redis can't be reached by is a `SpecError`, without what may be a password."""
    with pytest.raises(
        SpecError, match=r"is not the URL of a Redis server; write it as redis://host:6379/0"
    ) as caught:
        RedisStateBackend(given, run_id="run")
    assert "sec/" not in str(caught.value)


def test_without_the_extra_the_remedy_is_told() -> None:
    """Where the client is not installed the error says what to install; the engine is imported without it."""
    code = """
import sys
sys.modules["redis"] = None
import cascade as cs
from cascade.adapters.state import RedisStateBackend
from cascade.spec import MissingExtraError
try:
    RedisStateBackend("redis://localhost", run_id="run")
except MissingExtraError as error:
    assert "cascade-engine[redis]" in str(error), error
else:
    raise AssertionError
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert str(MissingExtraError("Redis", "redis")).endswith("pip install 'cascade-engine[redis]'")


def test_a_lease_must_last() -> None:
    """A lease of no time is refused."""
    with pytest.raises(SpecError, match=r"lease_seconds=0; give the seconds"):
        RedisStateBackend("redis://localhost", run_id="run", lease_seconds=0)
