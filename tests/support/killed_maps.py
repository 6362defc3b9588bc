"""Recorded maps whose items go out in chunks, killed at random moments: what is called again, and what is told of it.

Imported by a program of its own, since it forks. It tells what does not hold, and one line for each moment. Worker
processes import this module too.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import cascade as cs
from cascade.adapters.state.journal import Changes, Journal
from cascade.runtime import Engine, SkipReason, Timeline
from support.charging import note
from support.journals import WatchedJournal
from support.killable import begin, calls, empty, end, kept, tell
from support.stores import BINDINGS, recorded, using

ITEMS = 400
ALL = {f"part-{number}-" for number in range(ITEMS)}
DRIVER = "CASCADE_TEST_DRIVER"
"""The environment variable that tells workers whom they work for: they may outlive it for a moment."""

Told = tuple[str, int, list[int], list[int]]
"""What a run that has ended tells: its value, the writes of its store, and the items that its timeline says to be
called and to be read from the store."""


@cs.task
def work(number: int) -> str:
    note(f"{os.environ[DRIVER]}:part-{number}-")
    if number % 50 == 7:
        time.sleep(0.002)  # so that chunks differ
    return f"part-{number}-"


@cs.task
def joined(parts: list[str]) -> str:
    return "".join(parts)


def drive(url: str, executor: str, library: str, killed_at: int = 0, after: bool = False) -> Told:
    """Run the map; at the store's write of that number, this process is no more."""
    os.environ[DRIVER] = str(os.getpid())
    writes, timeline = [0], Timeline()

    def reach(changes: Changes) -> None:
        writes[0] += 1
        if writes[0] == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(journal: Journal) -> Journal:
        return WatchedJournal(journal, ends=reach) if after else WatchedJournal(journal, begins=reach)

    async def main() -> str:
        async with Engine(state_backend_cls=recorded(url, wrap), executor=executor) as engine:
            target = joined(work.map(range(ITEMS)))
            value: str = await engine.run(target, run_id="r", timeline=timeline)
            return value

    with using(library):
        value = asyncio.run(main())
    (run,) = timeline.runs
    called = [call.place.item for call in run.calls() if call.place.item is not None]
    read = [skip.place.item for skip in run.skips() if skip.reason is SkipReason.RECOVERED]
    return value, writes[0], called, [item for item in read if item is not None]


def one_moment(url: str, executor: str, chance: random.Random, writes: int, seconds: float) -> None:
    """Kill a run, and most often the run that goes on as well; then let it end, and compare."""
    drivers: dict[int, set[str]] = {}  # each with what was recorded before it began
    left: Counter[str] = Counter()  # how often a killed driver may have called what it did not record
    for _ in range(chance.choice((1, 2, 2))):
        known, library = kept(url), chance.choice(BINDINGS)
        if chance.random() < 0.5:
            at, after = chance.randint(1, writes), chance.random() < 0.5
            child, pipe = begin(lambda: drive(url, executor, library, at, after))  # noqa: B023 - forks at once
        else:
            child, pipe = begin(lambda: drive(url, executor, library))  # noqa: B023
            time.sleep(chance.uniform(0, seconds))
            os.kill(child, signal.SIGKILL)
        _, status = end(child, pipe)
        drivers[child] = known
        if not os.WIFSIGNALED(status):
            break
        left.update(ALL - kept(url))
    known, library = kept(url), chance.choice(BINDINGS)
    child, pipe = begin(lambda: drive(url, executor, library))
    text, status = end(child, pipe)
    assert status == 0, f"status {status}"
    value, _, called, read = eval(text)
    assert value == "".join(f"part-{number}-" for number in range(ITEMS))
    drivers[child] = known
    made = made_by(drivers)
    assert sorted(f"part-{item}-" for item in called) == sorted(made[child])
    told = {f"part-{item}-" for item in read}
    assert told == known & ALL or (not told and known >= ALL)  # the map may have been recorded as a whole
    check(drivers, made, left)
    tell(f"{executor}: {len(known & ALL)} recorded, {sum(map(len, made.values())) - ITEMS} made again")


def made_by(drivers: dict[int, set[str]]) -> dict[int, list[str]]:
    """Return the calls that were made for each driver."""
    made: dict[int, list[str]] = {driver: [] for driver in drivers}
    for line in calls():
        driver, _, call = line.partition(":")
        made[int(driver)].append(call)
    return made


def check(drivers: dict[int, set[str]], made: dict[int, list[str]], left: Counter[str]) -> None:
    """Check that all was called, nothing twice for one driver, and nothing that had been recorded before."""
    total: Counter[str] = Counter()
    for driver, known in drivers.items():
        assert len(set(made[driver])) == len(made[driver]), "called twice for one driver"
        assert known.isdisjoint(made[driver]), f"recorded, and made again: {known.intersection(made[driver])}"
        total.update(made[driver])
    assert set(total) == ALL
    assert all(times <= 1 + left[call] for call, times in total.items()), f"{total - left}"


def main(executor: str, moments: int, seed: int, folder: Path) -> None:
    """Try so many moments, in files of two SQLite libraries by turns."""
    chance = random.Random(seed)
    os.chdir(folder)
    url = empty("", folder / "alone")
    began = time.monotonic()
    text, status = end(*begin(lambda: drive(url, executor, BINDINGS[-1])))
    seconds = time.monotonic() - began
    assert status == 0
    _, writes, called, read = eval(text)
    assert sorted(called) == [*range(ITEMS)]
    assert read == []
    tell(f"{executor}: {writes} writes in {seconds:.2f} s, seed {seed}")
    for moment in range(moments):
        one_moment(empty("", folder / str(moment)), executor, chance, writes, seconds)
