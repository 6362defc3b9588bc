"""Runs to be killed: a program that lets children run a workflow, kills them at random moments, and counts calls.

Imported by a program of its own, since it forks: a child is there at once, with all that it imports. It tells what
does not hold, and one line for each moment.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.adapters.state.journal import Changes, Journal
from cascade.runtime import Engine
from support.charging import LOG, note
from support.journals import WatchedJournal
from support.stores import (
    asked,
    clear,
    is_in_server,
    is_postgres,
    is_redis,
    path_of,
    recorded,
    round_of,
    url_in,
    using,
    values_of,
)

LAYERS, WIDTH, ROUNDS = 50, 20, 400
LEASE_SECONDS = 0.2
"""In a server, who goes on with a run waits for so long."""


@cs.task
def part(number: int, *needs: str) -> str:
    note(f"part-{number}-")
    return f"part-{number}-"


@cs.task
async def later_part(number: int, *needs: str) -> str:
    await asyncio.sleep(0)
    note(f"part-{number}-")
    return f"part-{number}-"


@cs.task
def loop(number: int, history: list[int]) -> Any:
    note(f"round-{number}-")
    return loop(number + 1, [*history[-5:], number]) if number < ROUNDS else [*history, number]


def layers() -> Any:
    """Return a run of 1,000 tasks: each waits for two of the layer below it."""
    below: list[Any] = []
    for layer in range(LAYERS):
        row = []
        for place in range(WIDTH):
            needs = [below[place], below[(place * 7 + layer) % WIDTH]] if below else []
            row.append((later_part if place % 3 == 0 else part)(layer * WIDTH + place, *needs))
        below = row
    return cs.gather(*below)


TARGETS: dict[str, Callable[[], Any]] = {"layers": layers, "loop": lambda: loop(0, [])}


def run(url: str, name: str, library: str, killed_at: int = 0, after: bool = False) -> Any:
    """Run a workflow; at the store's write of that number, this process is no more."""
    if library:
        with using(library):
            return run(url, name, "", killed_at, after)
    writes = [0]

    def reach(changes: Changes) -> None:
        writes[0] += 1
        if writes[0] == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrap(journal: Journal) -> Journal:
        return WatchedJournal(journal, ends=reach) if after else WatchedJournal(journal, begins=reach)

    async def main() -> Any:
        async with Engine(state_backend_cls=recorded(url, wrap, lease_seconds=LEASE_SECONDS)) as engine:
            return await engine.run(TARGETS[name](), run_id="r")

    value = asyncio.run(main())
    return value, writes[0]


def begin(work: Callable[[], Any]) -> tuple[int, int]:
    """Fork a child that does something; return its id and the pipe that it writes the result's text to."""
    reads, writes = os.pipe()
    child = os.fork()
    if child:
        os.close(writes)
        return child, reads
    status = 1
    try:
        os.close(reads)
        os.write(writes, repr(work()).encode())
        status = 0
    finally:
        os._exit(status)


def end(child: int, pipe: int) -> tuple[str, int]:
    """Wait for a child; return what it has written, and its status."""
    with os.fdopen(pipe) as written:
        text = written.read()
    return text, os.waitpid(child, 0)[1]


def kept(url: str) -> set[str]:
    """Return the calls that the store knows to be made."""
    if not is_there(url):
        return set()
    found = {match.decode() for value in values_of(url) for match in re.findall(rb"part-\d+-", value)}
    return found | {f"round-{number}-" for number in range(round_of(url))}


def is_there(url: str) -> bool:
    """Tell whether a store has anything; if it is a file, check that it is whole."""
    if is_postgres(url):
        (found,) = asked(url, "SELECT to_regclass('cascade_facts') IS NOT NULL")
        return bool(found[0])
    if is_redis(url):
        return bool(values_of(url))
    if not Path(path_of(url)).exists():
        return False
    with closing(sqlite3.connect(path_of(url))) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def calls() -> list[str]:
    """Return all calls so far, in their order."""
    return LOG.read_text().split() if LOG.exists() else []


def kill_once(
    url: str, name: str, chance: random.Random, seconds: float, writes: int, libraries: Sequence[str]
) -> bool:
    """Let a child run and kill it somewhere; return whether it was killed before its end."""
    library = chance.choice(libraries)
    if chance.random() < 0.5:
        at, after = chance.randint(1, writes), chance.random() < 0.5
        child, pipe = begin(lambda: run(url, name, library, at, after))
    else:
        child, pipe = begin(lambda: run(url, name, library))
        time.sleep(chance.uniform(0, seconds))
        os.kill(child, signal.SIGKILL)
    _, status = end(child, pipe)
    return os.WIFSIGNALED(status)


def one_moment(
    url: str,
    name: str,
    chance: random.Random,
    seconds: float,
    writes: int,
    value: str,
    libraries: Sequence[str],
) -> None:
    """Kill a run, and most often the run that goes on as well; then let it end, and compare."""
    allowed: Counter[str] = Counter()
    for _ in range(chance.choice((1, 2, 2))):
        begun = len(calls())
        known = kept(url)
        killed = kill_once(url, name, chance, seconds, writes, libraries)
        check_calls(calls()[begun:], known)
        in_flight = set(calls()[begun:]) - kept(url)
        allowed.update(in_flight)
        if not killed:
            break
    begun, known = len(calls()), kept(url)
    text, status = end(*begin(lambda: run(url, name, chance.choice(libraries))[0]))
    assert (status, text) == (0, value), f"status {status}, {text[:200]}"
    check_calls(calls()[begun:], known)
    made = Counter(calls())
    expected = (
        {f"part-{n}-" for n in range(LAYERS * WIDTH)}
        if name == "layers"
        else {f"round-{n}-" for n in range(ROUNDS + 1)}
    )
    assert set(made) == expected
    more = {call: times - 1 for call, times in made.items() if times > 1}
    assert all(times <= allowed[call] for call, times in more.items()), (
        f"made again: {more}, may be: {allowed}"
    )
    tell(f"{name}: {len(known)} recorded, {sum(more.values())} made again")


def check_calls(made: list[str], known: set[str]) -> None:
    """Check that none of the calls had been recorded, and that none was made twice in one process."""
    assert known.isdisjoint(made), f"recorded, and made again: {known.intersection(made)}"
    assert len(set(made)) == len(made)


def empty(server: str, folder: Path) -> str:
    """Return the URL of a store that has nothing: in the server, if there is one, or else in a folder of its own."""
    LOG.unlink(missing_ok=True)
    if not server:
        return url_in(folder)
    clear(server)
    return server


def main(name: str, moments: int, seed: int, folder: Path, where: str) -> None:
    """Try so many moments of one workflow, in a server or, with one or more SQLite libraries by turns, in a file."""
    server = where if is_in_server(where) else ""
    libraries = ("",) if server else where.split()
    chance = random.Random(seed)
    os.chdir(folder)
    url = empty(server, folder / "alone")
    began = time.monotonic()
    text, status = end(*begin(lambda: run(url, name, libraries[-1])))
    seconds = time.monotonic() - began
    assert status == 0
    value, writes = eval(text)
    tell(f"{name}: {writes} writes in {seconds:.2f} s, seed {seed}")
    for moment in range(moments):
        one_moment(empty(server, folder / str(moment)), name, chance, seconds, writes, repr(value), libraries)


def tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
