"""Claims about runs in a server, the same for each kind: who may write, and what a catalog tells."""

from __future__ import annotations

import os
from contextlib import closing

import pytest
import redis
from support.journals import BEGUN, FRAME, fact
from support.stores import LEASE_SECONDS, asked, end_lease, is_postgres, journal_of

from cascade.adapters.state.digests import FrameDigest, NodeDigest
from cascade.adapters.state.journal import Changes, Head, Journal, Kind
from cascade.adapters.store_urls import catalog_from_url
from cascade.spec import RunActiveError, RunLostError
from cascade.spec.durable import RunStatus
from cascade.spec.errors import RunDamagedError, RunNotFoundError


@pytest.fixture
def url(server_url: str) -> str:
    return server_url


def journal(url: str, run_id: str = "run") -> Journal:
    return journal_of(url, run_id, LEASE_SECONDS)


async def check_refused(url: str) -> None:
    one, scheme = journal(url), url.partition(":")[0]
    with pytest.raises(
        RunActiveError, match=rf"run 'run' in store {scheme}://\S+ is being driven by process"
    ):
        await one.open()
    await one.close()


async def test_who_has_lost_the_run_can_not_write(url: str) -> None:
    """A writer whose lease has run out and was taken by another is refused by that one's name, and writes nothing."""
    old, new = journal(url), journal(url)
    await old.open()
    await old.write(BEGUN)
    end_lease(url)  # as if it had run out while the old one was asleep
    await new.open()
    await new.write(Changes(facts=[fact(1)]))
    with pytest.raises(RunLostError, match=rf"run 'run' has been taken over by process {os.getpid()} on "):
        await old.write(Changes(facts=[fact(1, b"late"), fact(2, b"late")]))
    await old.close()
    await check_refused(url)  # closing the old one has not freed the new one's lease
    await new.close()
    loaded = await new.open()
    assert loaded is not None
    assert [value for *_, value in loaded.facts] == [b"value"]
    await new.close()


async def test_who_has_lost_the_run_is_told_also_when_the_other_one_has_ended(url: str) -> None:
    """A driver that wakes up after the one that took its run over has gone is told who that was, by a typed error."""
    old, new = journal(url), journal(url)
    await old.open()
    await old.write(BEGUN)
    end_lease(url)
    await new.open()
    await new.write(Changes(facts=[fact(1)]))
    await new.close()
    with pytest.raises(RunLostError, match=r"has been taken over by process .*is not recorded") as caught:
        await old.write(Changes(facts=[fact(1, b"late"), fact(2, b"late")]))
    assert caught.value.run_id == "run"
    assert caught.value.driver.startswith(f"process {os.getpid()} on ")
    await old.close()
    last = journal(url)
    loaded = await last.open()
    assert loaded is not None
    assert [value for *_, value in loaded.facts] == [b"value"]
    await last.close()


async def test_a_run_that_is_damaged_has_no_driver(url: str) -> None:
    """Who has found a run to be damaged holds no lease of it: a restart begins at once."""
    one = journal(url)
    await one.open()
    await one.write(BEGUN)
    await one.close()
    damage(url)
    with pytest.raises(RunDamagedError):
        await one.open()
    await one.close()
    (found,) = catalog_from_url(url).runs()
    assert not found.driver


def damage(url: str) -> None:
    """Put something odd in the place of a number of the run."""
    if is_postgres(url):
        asked(url, "UPDATE cascade_runs SET round = -1")
    else:
        with closing(redis.Redis.from_url(url)) as client:
            client.hset("cascade:state:head:run", "round", b"x")


async def test_a_catalog_tells_what_there_is(url: str) -> None:
    """The catalog tells each run, who drives it, and the tasks, places and sizes of its facts; counts stay exact."""
    inner = FrameDigest(0, b"g" * 16, b"f" * 32)
    catalog = catalog_from_url(url)
    assert catalog.runs() == []

    def counted(run_id: str) -> tuple[int, int]:
        (found,) = [each for each in catalog.runs() if each.run_id == run_id]
        facts = catalog.facts(run_id)
        assert (found.facts, found.size) == (len(facts), sum(each.size for each in facts))
        return found.facts, found.size

    one, two = journal(url, "one"), journal(url, "two: ä\x00")
    for each in (one, two):
        await each.open()
        await each.write(BEGUN)
    await one.write(Changes(facts=[fact(number, b"x" * number) for number in range(10)]))
    assert counted("one") == (10, 45)
    await one.write(
        Changes(nodes=[NodeDigest(FRAME, b"%016d" % 9)], facts=[fact(1, b"xxx"), fact(0, b"y", inner)])
    )
    assert counted("one") == (10, 39)
    await one.write(Changes(frames=[inner], facts=[fact(0, b"zz", FrameDigest(1, b"h" * 16, b""))]))
    assert counted("one") == (10, 40)
    await one.write(Changes(rounds=0, head=Head(RunStatus.FAILED, round=1, error="ValueError")))
    assert counted("one") == (1, 2)
    assert [(each.round, each.task, each.place, each.kind, each.size) for each in catalog.facts("one")] == [
        (1, "task", "root.args.0", Kind.RESULT, 2)
    ]
    latest, earlier = catalog.runs()
    assert (latest.run_id, latest.status, latest.error, latest.round) == ("one", "failed", "ValueError", 1)
    assert latest.began <= earlier.began <= earlier.updated <= latest.updated
    assert earlier.run_id == "two: ä\x00"
    assert latest.driver.startswith(f"process {os.getpid()} on ")
    with pytest.raises(RunActiveError, match=rf"run 'one'.*driven by process {os.getpid()}"):
        catalog.delete("one")
    await one.close()
    await two.close()
    assert [each.driver for each in catalog.runs()] == ["", ""]
    catalog.delete("one")
    catalog.delete("two: ä\x00")
    assert catalog.runs() == []
    for look in (catalog.facts, catalog.delete):
        with pytest.raises(RunNotFoundError, match=r"no run 'one'"):
            look("one")
    catalog.close()
    check_nothing_left(url)


def check_nothing_left(url: str) -> None:
    """Check that a server has no data of a run."""
    if is_postgres(url):
        for table in ("runs", "facts", "leases", "timelines"):
            assert asked(url, f"SELECT count(*) FROM cascade_{table}") == [(0,)]
    else:
        with closing(redis.Redis.from_url(url)) as client:
            assert client.keys() == [b"cascade:state:format"]
