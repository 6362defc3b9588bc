"""Claims about runs in PostgreSQL: who may write, what a server that fails costs, what is shown of a store."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from support.journals import BEGUN, fact
from support.loops import now
from support.postgres_server import PostgresProcess
from support.stores import asked, end_lease

import cascade as cs
from cascade.adapters.cache import PostgresCacheBackend
from cascade.adapters.postgres_server import PostgresServer
from cascade.adapters.state import PostgresCatalog, PostgresJournal, PostgresStateBackend
from cascade.adapters.state.journal import Changes, Durability, Head, TimelinePart
from cascade.runtime import Engine
from cascade.spec import (
    CacheKey,
    SpecError,
    StoreError,
    StoreFormatError,
)
from cascade.spec.durable import RunStatus
from cascade.spec.errors import RunLostError

WITHIN = 5.5
"""Seconds of waiting in which an error has to be told: 5, and some for a server on a busy machine."""


@pytest.fixture
def url(postgres_url: str) -> str:
    return postgres_url


def journal(url: str, run_id: str = "run", lease_seconds: float = 2.0) -> PostgresJournal:
    return PostgresJournal(url, run_id, Durability.SYNC, lease_seconds=lease_seconds)


# Who may write


async def test_a_server_that_lost_its_data_is_told(url: str) -> None:
    """A writer whose run was deleted behind its back is refused: what it goes on with is not there."""
    for lost in ("cascade_leases", "cascade_runs CASCADE"):
        one = journal(url)
        await one.open()
        await one.write(BEGUN)
        asked(url, f"TRUNCATE {lost}")
        with pytest.raises(StoreError, match=r"its data was deleted or lost"):
            await one.write(Changes(facts=[fact(1)]))
        await one.close()
        asked(url, "DELETE FROM cascade_leases")


async def test_nothing_is_left_of_a_run_that_was_not_begun(url: str) -> None:
    """A run that was opened and closed without a write leaves no row."""
    one = journal(url)
    assert await one.open() is None
    await one.close()
    assert asked(url, "SELECT count(*) FROM cascade_leases") == [(0,)]
    assert asked(url, "SELECT count(*) FROM cascade_runs") == [(0,)]


async def test_a_batch_of_any_size_is_whole(url: str) -> None:
    """A batch that is sent as several statements is written as a whole, and is read in portions as it was."""
    one = journal(url)
    await one.open()
    await one.write(BEGUN)
    many = [fact(number, b"%d" % number) for number in range(25_000)]
    await one.write(Changes(facts=[*many, fact(3, b"x" * (9 << 20)), fact(4, b"y" * (9 << 20))]))
    await one.close()
    loaded = await one.open()
    assert loaded is not None
    found = {node.node: value for node, _, value in loaded.facts}
    assert len(loaded.facts) == len(found) == 25_000
    assert (found[b"%016d" % 3][:1], found[b"%016d" % 4][:1], found[b"%016d" % 24_999]) == (
        b"x",
        b"y",
        b"24999",
    )
    await one.close()


# Writes that need no task


async def begun(url: str, server: PostgresServer) -> PostgresJournal:
    """Return the journal of a run that has been begun, and whose next write needs no task."""
    one = PostgresJournal(server, "run", Durability.SYNC)
    await one.open()
    await one.write(BEGUN)
    await one.write(Changes(facts=[fact(0)]))
    return one


async def test_a_write_without_a_task_is_stored_when_it_tells_so(url: str) -> None:
    """`write_soon` writes facts as `write` does, one or many, also twice; the later one of two of a key counts."""
    server = PostgresServer(url)
    one = await begun(url, server)
    assert (
        one.write_soon(Changes(facts=[fact(1), fact(2)])) is None
    )  # the statement for many is not known yet
    await one.write(Changes(facts=[fact(1), fact(2)]))
    for batch in ([fact(3, b"once")], [fact(3, b"twice")], [fact(4, b"a"), fact(4, b"b")]):
        writing = one.write_soon(Changes(facts=batch))
        assert writing is not None
        assert await writing
    await one.close()
    loaded = await one.open()
    assert loaded is not None
    values = {node.node: value for node, _, value in loaded.facts}
    assert len(values) == 5
    assert (values[b"%016d" % 3], values[b"%016d" % 4]) == (b"twice", b"b")
    await one.close()
    await server.close()


async def test_what_is_more_than_facts_takes_the_ordinary_way(url: str) -> None:
    """A batch that changes the run as a whole, or deletes something, is not begun by `write_soon`."""
    server = PostgresServer(url)
    one = await begun(url, server)
    node = fact(0).place
    for batch in (
        BEGUN,
        Changes(),
        Changes(facts=[fact(1)], rounds=0),
        Changes(facts=[fact(1)], nodes=[node]),
        Changes(facts=[fact(1)], frames=[node.frame]),
        Changes(facts=[fact(1)], head=Head(RunStatus.FAILED)),
        Changes(facts=[fact(1)], timeline=[TimelinePart(1, 0, b"part")]),
    ):
        assert one.write_soon(batch) is None
    await one.close()
    await server.close()


async def test_a_write_without_a_task_checks_the_owner(url: str) -> None:
    """Who has lost the run puts nothing by `write_soon`, and `write` tells then who has it now."""
    server = PostgresServer(url)
    one = await begun(url, server)
    end_lease(url)
    other = journal(url)
    await other.open()
    writing = one.write_soon(Changes(facts=[fact(1)]))
    assert writing is not None
    assert not await writing
    with pytest.raises(RunLostError, match="taken over"):
        await one.write(Changes(facts=[fact(1)]))
    assert asked(url, "SELECT count(*) FROM cascade_facts") == [(1,)]
    await other.close()
    await one.close()
    await server.close()


async def test_a_connection_that_breaks_loses_no_write(url: str) -> None:
    """A write without a task whose connection breaks is not known to be done; `write` does it by another one."""
    server = PostgresServer(url)
    one = await begun(url, server)
    asked(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    writing = one.write_soon(Changes(facts=[fact(1)]))
    assert writing is None or not await writing
    await one.write(Changes(facts=[fact(1)]))
    assert asked(url, "SELECT count(*) FROM cascade_facts") == [(2,)]
    await one.close()
    await server.close()


async def test_who_takes_a_run_over_waits_for_a_write_under_way(url: str) -> None:
    """Facts that are put while a lease ends are there before another process reads the run, or are not put at all."""
    server = PostgresServer(url)
    one = await begun(url, server)
    other = journal(url)
    for number in range(1, 20):
        end_lease(url)
        writing = one.write_soon(Changes(facts=[fact(number)]))
        loaded = await other.open()
        assert loaded is not None
        is_there = any(node == fact(number).place for node, _, _ in loaded.facts)
        assert writing is not None
        assert await writing == is_there
        await other.close()
        asked(url, f"DELETE FROM cascade_facts WHERE node = '{number:016d}'")
        await one.close()
        await one.open()
        await one.write(Changes(facts=[fact(0)]))
    await one.close()
    await server.close()


# What a server that fails costs

calls: list[str] = []
servers: list[PostgresProcess] = []


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


@pytest.fixture
def persistent() -> Iterator[PostgresProcess]:
    server = PostgresProcess(persistent=True)
    yield server
    server.close()


@pytest.mark.server
@pytest.mark.idle_time
async def test_a_run_outlives_its_server(persistent: PostgresProcess) -> None:
    """A server that is killed ends the run with a `StoreError` in time; started again, it goes on where the run was."""
    calls.clear()
    servers[:] = [persistent]
    target = last(kill_once(first()))
    began = now()
    with pytest.raises(StoreError, match=r"store postgresql://127\.0\.0\.1:\d+/postgres: ") as caught:
        await cs.arun(target, state=persistent.url, run_id="run")
    assert now() - began < WITHIN
    assert "tester" not in str(caught.value)
    persistent.start()
    end_lease(persistent.url)  # so that the test need not wait for it
    assert await cs.arun(target, state=persistent.url, run_id="run") == "first killed last"
    assert calls == ["first", "kill", "kill", "last"]


async def test_connections_that_died_between_runs_are_opened_anew(url: str) -> None:
    """An engine whose idle connections the server has ended goes on without an error."""
    async with Engine(state=url, cache=url) as engine:
        for number in range(3):
            assert await engine.run(first().with_cache(cs.ByInputs()), run_id=f"{number}") == "first"
            asked(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


@pytest.mark.server
@pytest.mark.idle_time
async def test_a_server_that_is_silent_is_told_in_time() -> None:
    """A server that takes a connection and answers nothing is a `StoreError` within 5 seconds, closing included."""
    server = PostgresProcess()
    try:
        one = journal(server.url)
        await one.open()
        await one.write(BEGUN)
        group = [int(str(pid)) for (pid,) in server.ask("SELECT pid FROM pg_stat_activity")]
        stopped = [server.pid, *group]
        for pid in stopped:
            _signal(pid, signal.SIGSTOP)
        try:
            began = now()
            with pytest.raises(StoreError, match=r"does not answer within 4 s"):
                await one.write(Changes(facts=[fact(1)]))
            await one.close()
            assert now() - began < WITHIN
        finally:
            for pid in stopped:
                _signal(pid, signal.SIGCONT)
    finally:
        server.close()


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # the connection that asked for all others
        os.kill(pid, number)


@pytest.mark.server
def test_a_server_that_is_not_there_is_told(postgres_server: PostgresProcess) -> None:
    """A server that can't be reached is a `StoreError` that names its address without user and password."""
    for wrong in (
        "postgresql://me:secret@127.0.0.1:1/work",
        "postgresql:///work?host=/nowhere&password=secret",
    ):
        for do in (
            lambda wrong=wrong: cs.run(first(), state=wrong, run_id="run"),
            PostgresCatalog(wrong).runs,
        ):
            with pytest.raises(StoreError, match=r"store postgresql://\S*/work: ") as caught:
                do()
            assert "secret" not in str(caught.value)
            assert "me" not in str(caught.value).split()


@pytest.mark.parametrize("query", ["?bogus=PW", "?sslmode"])
def test_an_option_that_libpq_does_not_have_is_refused(query: str) -> None:
    """A URL with an unknown parameter is a `SpecError` before anything runs, and shows no part of a password."""
    with pytest.raises(SpecError, match=r"postgresql://h/d asks for something") as caught:
        cs.run(first(), state=f"postgresql://u:PW@h/d{query}", run_id="run")
    assert "PW" not in str(caught.value)


async def test_a_store_of_another_version_is_refused(url: str) -> None:
    """A store that a newer version has written is a `StoreFormatError`, and is left as it is."""
    one = journal(url)
    await one.open()
    await one.close()
    asked(url, "UPDATE cascade_stores SET version = 3")
    late = journal(url)
    with pytest.raises(StoreFormatError, match=r"is a store of version 3.*use a newer cascade-engine"):
        await late.open()
    await late.close()
    for look in (PostgresCatalog(url).runs, lambda: PostgresCatalog(url).delete("run")):
        with pytest.raises(StoreFormatError, match="version 3"):
            await asyncio.to_thread(look)


async def test_many_make_the_tables_at_the_same_time(url: str) -> None:
    """Any number of processes may be the first to use a database."""
    code = "import cascade as cs, sys; print(cs.run(cs.task(abs)(-1), state=sys.argv[1], run_id=sys.argv[2]))"
    began = [
        subprocess.Popen([sys.executable, "-c", code, url, str(number)], stdout=subprocess.PIPE, text=True)
        for number in range(4)
    ]
    assert [each.communicate()[0] for each in began] == ["1\n"] * 4
    assert len(PostgresCatalog(url).runs()) == 4


def test_a_prefix_keeps_stores_apart(url: str) -> None:
    """Stores of different prefixes in one database know nothing of each other; a prefix that is no name is refused."""

    def make(run_id: str) -> PostgresStateBackend:
        return PostgresStateBackend(url, run_id=run_id, prefix="other_")

    assert cs.run(first(), state=make, run_id="run") == "first"
    assert PostgresCatalog(url).runs() == []
    assert [each.run_id for each in PostgresCatalog(url, prefix="other_").runs()] == ["run"]
    with pytest.raises(SpecError, match="begins no name of a table"):
        PostgresCatalog(url, prefix="x; drop table y")


@pytest.mark.parametrize(("durability", "waits"), [("sync", "on"), ("async", "off")])
async def test_durability_says_what_a_commit_waits_for(url: str, durability: str, waits: str) -> None:
    """A commit of a sync run waits for the server's disk, whatever the server says; one of an async run does not."""
    server = PostgresServer(f"{url}?options=-c%20synchronous_commit%3Dlocal")
    state = PostgresJournal(server, "run", Durability.of(durability), lease_seconds=2.0)
    await state.open()
    for statement in (
        "CREATE TABLE seen (setting text)",
        """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO seen SELECT current_setting('synchronous_commit'); RETURN NULL; END $$""",
        "CREATE TRIGGER watch AFTER INSERT ON cascade_facts FOR EACH ROW EXECUTE FUNCTION note()",
    ):
        asked(url, statement)
    await state.write(Changes(anew=True, head=BEGUN.head, facts=[fact(1)]))
    await state.close()
    await server.close()
    assert asked(url, "SELECT setting FROM seen") == [(waits,)]


# What is shown of a store


def test_a_catalog_shows_a_damaged_run(url: str) -> None:
    """A run whose own row is damaged is listed as such, and can be deleted."""
    cs.run(first(), state=url, run_id="run")
    asked(url, "UPDATE cascade_runs SET status = 'bogus'")
    (shown,) = PostgresCatalog(url).runs()
    assert shown.status is RunStatus.DAMAGED
    PostgresCatalog(url).delete("run")
    assert PostgresCatalog(url).runs() == []


def test_a_catalog_has_the_options_of_its_url(url: str) -> None:
    """A URL whose options name a schema leads runs, their catalog and the cache to that schema."""
    asked(url, "CREATE SCHEMA elsewhere")
    there = f"{url}?options=-c%20search_path%3Delsewhere"
    assert cs.run(first().with_cache(cs.ByInputs()), state=there, cache=there, run_id="run") == "first"
    assert [each.run_id for each in PostgresCatalog(there).runs()] == ["run"]
    assert PostgresCatalog(url).runs() == []
    assert asked(url, "SELECT count(*) FROM elsewhere.cascade_cache") == [(1,)]


def test_a_server_says_what_its_commits_survive(url: str) -> None:
    """The catalog's findings name the server's version, and the setting that risks the database."""
    version, persistence = PostgresCatalog(url).inspect()
    assert version.told.startswith("PostgreSQL 1")
    assert persistence.remedy == "set fsync on"  # the server of the tests does not wait for its disk


# The cache


async def test_what_has_expired_is_deleted_later(url: str) -> None:
    """A value that has expired an hour ago is deleted when another process puts one; others stay."""
    now = [1000.0]
    for ttl, name in ((10.0, "short"), (None, "for ever"), (10_000.0, "long")):
        cache = PostgresCacheBackend(url, clock=lambda: now[0])
        await cache.put(CacheKey(name, "task", ()), name, ttl)
        await cache.close()
    now[0] += 3700.0
    cache = PostgresCacheBackend(url, clock=lambda: now[0])
    await cache.put(CacheKey("new", "task", ()), 1, None)
    assert {each.key.digest for each in await cache.entries("task")} == {"for ever", "long", "new"}
    await cache.close()
