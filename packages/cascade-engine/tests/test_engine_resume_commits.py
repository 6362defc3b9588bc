"""Claims about commits: how many there are, what comes first, and what an error of the store does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.journals import FailingJournal, WatchedJournal
from support.loops import now
from support.resuming import CALLS, WANTED, add, give, give_later, play, sixty, stopped
from support.stores import recorded

import cascade as cs
from cascade.adapters.state.journal import Changes, Journal, Kind
from cascade.adapters.store_urls import state_from_url
from cascade.runtime.events import TaskExecutionFinished
from cascade.spec import PolicyError, SpecError, StoreError

pytestmark = pytest.mark.usefixtures("story")


async def test_concurrent_nodes_share_commits(url: str) -> None:
    """A thousand concurrent nodes are a few commits and not a thousand."""
    writes: list[int] = []
    make = recorded(
        url, lambda journal: WatchedJournal(journal, lambda changes: writes.append(len(changes.facts)))
    )
    seen = await play(
        url, cs.gather(*[give_later(f"{number}", number) for number in range(1_000)]), make=make
    )
    assert seen.value == list(range(1_000))
    assert sum(writes) == 1_000
    assert len(writes) < 200


@pytest.mark.parametrize("gives", [give, give_later])
async def test_a_result_is_committed_before_what_depends_on_it(url: str, gives: Any) -> None:
    """When a call begins, the batches with the results that it takes have been written."""
    order: list[str] = []

    def note(changes: Changes) -> None:
        order.extend(CALLS[len([each for each in order if not each.startswith("written")]) :])
        order.extend(f"written {fact.call.place}" for fact in changes.facts)

    make = recorded(url, lambda journal: WatchedJournal(journal, ends=note))
    target: Any = gives("0", 0)
    for number in range(1, 6):
        target = give(f"{number}", target)
    assert (await play(url, target, make=make)).value == 0
    paths = ["root" + ".args.1" * (5 - number) for number in range(6)]
    for number in range(5):
        assert order.index(f"{number}") < order.index(f"written {paths[number]}")
        assert order.index(f"written {paths[number]}") < order.index(f"{number + 1}")


@pytest.mark.idle_time
@pytest.mark.parametrize("after", [False, True], ids=["in its place", "after it"])
async def test_an_error_at_any_call_of_the_store(url: str, after: bool, tmp_path: Path) -> None:
    """Whichever call of the store fails: a typed error, nothing lost or left running, and the run goes on."""
    alone = await play(url, sixty(), run_id="alone")
    assert alone.value == WANTED
    at, failed = 0, True
    while failed:
        at += 1
        run_id = f"{after} {at}"

        def wrap(journal: Journal, at: int = at) -> Journal:
            return FailingJournal(journal, at, after=after, stays=at % 2 == 0)

        began = now()
        first = await play(url, sixty(), make=recorded(url, wrap), run_id=run_id)
        assert now() - began < 5 + 5
        failed = first.error is not None
        assert not failed or isinstance(first.error, StoreError)
        again = await play(url, sixty(), run_id=run_id)
        assert again.value == WANTED
        assert set(first.calls) | set(again.calls) == set(alone.calls)
    assert at > 12


async def test_many_runs_write_one_file_at_once(url: str) -> None:
    """A hundred runs of one process, safe from loss of power, share a file: each gets its turn."""
    async with cs.Engine(state_backend_cls=state_from_url(url)) as engine:
        targets = [add("sum", add("b", give_later("a", number))) for number in range(100)]
        runs = [engine.run(each, run_id=f"{at}") for at, each in enumerate(targets)]
        value = list(await asyncio.gather(*runs))
    assert value == list(range(100))


@pytest.mark.parametrize("durability", ["sync", "async"])
async def test_both_durabilities_resume(url: str, durability: str) -> None:
    """A run goes on whichever durability it is given, another than before as well."""
    target = add("sum", add("b", give("a", 1)))
    await stopped(url, target, "sum", make=state_from_url(url, durability=durability))
    again = await play(url, target, make=state_from_url(url, durability="sync"))
    assert (again.value, again.calls) == (1, ["sum"])


def test_what_a_state_is_asked_for_is_checked(url: str) -> None:
    """An unknown durability is refused with those that are known; a run's name has to be text that can be stored."""
    with pytest.raises(PolicyError, match="'sync', 'async'"):
        cs.run(give("a"), state=url, durability="safe")  # type: ignore[call-overload]
    with pytest.raises(SpecError, match="run_id"):
        cs.run(give("a"), state=url, run_id="\ud800")


async def most_uncommitted(url: str, target: Any, limit: int, heard: bool, concurrency: int = 1) -> int:
    """Run a target; return how many calls had ended at most before a commit that has them returned."""
    most = committed = 0

    def look(changes: Changes) -> None:
        nonlocal most
        most = max(most, len(CALLS) - committed)

    def note(changes: Changes) -> None:
        nonlocal committed
        look(changes)
        committed += len([fact for fact in changes.facts if fact.kind in (Kind.RESULT, Kind.TARGET)])

    CALLS.clear()
    make = recorded(url, lambda journal: WatchedJournal(journal, begins=look, ends=note))
    bounds: Any = {"max_concurrency": concurrency} if concurrency > 1 else {}
    async with cs.Engine(state=make, **bounds) as engine:
        if heard:
            engine.bus.subscribe(TaskExecutionFinished, lambda event: None)
        await engine.run(target, run_id="r", max_uncommitted=limit)
    return most


FANS: dict[str, Callable[[], Any]] = {
    "calls": lambda: cs.gather(*[give(f"{number}", number) for number in range(300)]),
    "items": lambda: give.map(name=[f"{number}" for number in range(300)]),
    "calls with policies": lambda: cs.gather(*[give(f"{number}").with_retry(1) for number in range(300)]),
    "calls of calls": lambda: cs.gather(*[give(f"{n}", give(f"below {n}", n)) for n in range(150)]),
}


@pytest.mark.parametrize("fan", FANS)
@pytest.mark.parametrize("limit", [1, 7, 100])
@pytest.mark.parametrize("heard", [False, True])
async def test_only_so_many_calls_have_ended_and_are_not_committed(
    url: str, fan: str, limit: int, heard: bool
) -> None:
    """With `max_uncommitted=N`, N calls at most have ended at any moment without being committed."""
    assert 0 < await most_uncommitted(url, FANS[fan](), limit, heard) <= limit


async def test_coroutines_under_way_come_to_those_that_have_ended(url: str) -> None:
    """Those that had begun when the bound was reached may end as well: the two bounds add up."""
    target = cs.gather(*[give_later(f"{number}", number) for number in range(300)])
    assert await most_uncommitted(url, target, 20, False, concurrency=5) <= 25


async def test_a_loop_goes_on_under_the_smallest_bound(url: str) -> None:
    """Rounds, maps in them and trees in places end under `max_uncommitted=1` as without it."""
    bounded = await play(url, sixty(), run_id="bounded", max_uncommitted=1)
    assert bounded.value == WANTED
    assert sorted(bounded.calls) == sorted((await play(url, sixty(), run_id="free")).calls)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "10"])
def test_a_bound_that_makes_no_sense_is_refused(url: str, limit: Any) -> None:
    """Anything but a whole number from 1 on is refused, and so is a bound where nothing is recorded."""
    with pytest.raises(PolicyError, match="max_uncommitted"):
        cs.run(give("a"), state=url, max_uncommitted=limit)
    with pytest.raises(SpecError, match="max_uncommitted"):
        cs.run(give("a"), max_uncommitted=3)
    assert not CALLS
