"""Runs with a database that rolls back: random workflows, failed and killed at random, and what must hold meanwhile.

Imported by a program of its own, since it forks. It tells what does not hold, and one line for each workflow. Calls are
known by number: each notes its number when it has ended, and those that take the database put it there.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import cascade as cs
from cascade.adapters.state.journal import Changes, Journal
from cascade.runtime import Engine, OnFailure
from cascade.spec import Router
from support.journals import WatchedJournal
from support.killable import begin, empty, end, is_there
from support.stores import recorded, values_of

LOG, FILE = Path("calls.log"), Path("rows.db")
LEASE_SECONDS = 0.2
FAIL, KILL = "fail", "kill"

Plan = tuple[dict[str, Any], ...]
"""The calls of a tree, each a dict of plain data; a call may use those before it, and the last one is the target."""


class Trouble:
    """Where an attempt ends: at the moment of this number, and how."""

    def __init__(self) -> None:
        self.moment = self.at = 0
        self.how = FAIL


trouble = Trouble()


class FailureError(Exception):
    """What a call raises at its moment."""


def reach(may_fail: bool = True) -> None:
    """Come to the next moment, which may be the last one."""
    trouble.moment += 1
    if trouble.moment == trouble.at:
        if trouble.how == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        if may_fail:
            raise FailureError


def note(number: int) -> str:
    """Note that a call has ended; return what it gives."""
    log = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(log, f"call-{number}-\n".encode())
    os.close(log)
    return f"call-{number}-"


@cs.resource(atomic=True)
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(FILE, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS rows (call INTEGER PRIMARY KEY)")
        connection.execute("BEGIN IMMEDIATE")
        yield connection  # whoever does not come back has rolled back
        reach()
        connection.execute("COMMIT")
        reach()


@cs.resource
def session(database: sqlite3.Connection = cs.inject("database")) -> Iterator[Any]:
    yield lambda number: database.execute("INSERT OR REPLACE INTO rows VALUES (?)", (number,))
    reach()


@cs.task
def pure(number: int, *deps: Any) -> str:
    reach()
    return note(number)


@cs.task
async def later(number: int, *deps: Any) -> str:
    reach()
    return note(number)


@cs.task
def save(number: int, *deps: Any, database: sqlite3.Connection = cs.inject("database")) -> str:
    reach()
    database.execute("INSERT OR REPLACE INTO rows VALUES (?)", (number,))
    reach()
    return note(number)


@cs.task
async def add(number: int, *deps: Any, insert: Any = cs.inject("session")) -> str:
    insert(number)
    reach()
    return note(number)


@cs.task
def truth(number: int, *deps: Any) -> bool:
    reach()
    note(number)
    return number % 3 > 0


@cs.task
def numbers(first: int, count: int, *deps: Any) -> list[int]:
    reach()
    note(first)
    return [first + 1 + each for each in range(count)]


@cs.task
def expand(number: int, plan: Any, *deps: Any) -> Any:
    reach()
    note(number)
    return tree_of(plan)


@cs.task
def expand_saved(number: int, plan: Any, *deps: Any, insert: Any = cs.inject("session")) -> Any:
    insert(number)
    reach()
    note(number)
    return tree_of(plan)


def tree_of(plan: Plan) -> cs.LazyResult[Any]:
    """Return the lazy results of a plan."""
    made: list[cs.LazyResult[Any]] = []
    for step in plan:
        deps = [made[each] for each in step["deps"]]
        number, kind = step["number"], step["kind"]
        if kind == "map":
            mapped = numbers(number, step["count"], *deps)
            lazy: Any = {"pure": pure, "save": save, "add": add}[step["items"]].map(number=mapped)
        elif kind == "expanded items":
            plans = [tree["plan"] for tree in step["plans"]]
            lazy = expand.map(number=[tree["number"] for tree in step["plans"]], plan=plans)
        elif kind == "route":
            selector = truth(number, *deps)
            one, two = (made[each] for each in step["routes"])
            lazy = pure(number + 1, Router(selector=selector, routes={True: one, False: two}))
        elif kind in ("expand", "expand_saved"):
            lazy = {"expand": expand, "expand_saved": expand_saved}[kind](number, step["plan"], *deps)
        else:
            lazy = {"pure": pure, "later": later, "save": save, "add": add}[kind](number, *deps)
        for each in step["after"]:
            lazy = lazy.after(made[each])
        if step["condition"] is not None:
            lazy = lazy.run_if(truth(number + 7, made[step["condition"]]), otherwise="otherwise")
        made.append(lazy)
    return made[-1]


class Maker:
    """Makes random plans. Numbers lie 10 apart: a call may need some more of its own."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.number = 0

    def next_number(self) -> int:
        self.number += 10
        return self.number

    def plan(self, size: int, depth: int = 2) -> Plan:
        chance = self.chance
        steps: list[dict[str, Any]] = []
        for place in range(size):
            before = range(place)
            deps = [each for each in before if chance.random() < 0.4][-3:]
            kinds = ["pure", "pure", "later", "save", "save", "add", "map"]
            kinds += ["route"] * (place > 1) + ["expand", "expand_saved", "expanded items"] * (depth > 0)
            kind = chance.choice(kinds) if place < size - 1 else "pure"
            if place == size - 1:
                deps = [each for each in before if chance.random() < 0.8]
            step: dict[str, Any] = {"kind": kind, "number": self.next_number(), "deps": deps, "after": []}
            step["condition"] = None
            if place and chance.random() < 0.2:
                step["after"] = [chance.choice(before)]
            if place and chance.random() < 0.2:
                step["condition"] = chance.choice(before)
            if kind == "map":
                step |= {"count": chance.randint(0, 4), "items": chance.choice(["pure", "save", "add"])}
            elif kind == "route":
                step["routes"] = [chance.choice(before), chance.choice(before)]
            elif kind in ("expand", "expand_saved"):
                step["plan"] = self.plan(chance.randint(1, 4), depth - 1)
            elif kind == "expanded items":
                plans = [self.plan(chance.randint(1, 3), depth - 1) for _ in range(chance.randint(1, 3))]
                step["plans"] = [{"number": self.next_number(), "plan": each} for each in plans]
            steps.append(step)
        return tuple(steps)


def run(url: str, plan: Plan, at: int = 0, how: str = FAIL, finish: bool = False) -> tuple[str, int]:
    """Run a plan; at the moment of this number a call fails, or the process is no more."""
    trouble.moment, trouble.at, trouble.how = 0, at, how

    def watch(changes: Changes) -> None:
        reach(may_fail=False)

    def wrap(journal: Journal) -> Journal:
        return WatchedJournal(journal, begins=watch, ends=watch)

    async def main() -> Any:
        async with Engine(state_backend_cls=recorded(url, wrap, lease_seconds=LEASE_SECONDS)) as engine:
            for resource in (database, session):
                engine.register(resource)
            on_failure = OnFailure.FINISH if finish else OnFailure.STOP
            return await engine.run(tree_of(plan), run_id="r", on_failure=on_failure)

    return repr(asyncio.run(main())), trouble.moment


def kept(url: str) -> set[str]:
    """Return the calls that the store knows to be made."""
    if not is_there(url):
        return set()
    return {match.decode() for value in values_of(url) for match in re.findall(rb"call-\d+-", value)}


def rows() -> set[str]:
    """Return the calls whose rows are in the database."""
    if not FILE.exists():
        return set()
    with closing(sqlite3.connect(FILE)) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return set()
        return {f"call-{number}-" for (number,) in connection.execute("SELECT call FROM rows")}


def calls() -> list[str]:
    """Return all calls that have ended so far, in their order."""
    return LOG.read_text().split() if LOG.exists() else []


def afresh(server: str, folder: Path) -> str:
    """Return the URL of an empty store, with no rows and no calls."""
    for each in (LOG, FILE, Path(f"{FILE}-journal")):
        each.unlink(missing_ok=True)
    for each in folder.glob("*"):
        each.unlink()
    return empty(server, folder)


def one_workflow(seed: int, server: str, folder: Path) -> str:
    """Fail and kill the run of a random workflow some times, then let it end; return what there was."""
    chance = random.Random(seed)
    plan = Maker(chance).plan(chance.randint(2, 8))
    url = afresh(server, folder)
    text, status = end(*begin(lambda: run(url, plan)))
    assert status == 0, f"seed {seed}: {text}"
    value, moments = eval(text)
    saved = rows()
    url = afresh(server, folder)
    attempts = chance.randint(1, 4)
    for _ in range(attempts):
        known, begun = kept(url), len(calls())
        how, at, finish = chance.choice((FAIL, KILL)), chance.randint(1, moments), chance.random() < 0.3
        text, status = end(*begin(lambda: run(url, plan, at, how, finish)))  # noqa: B023 - ended here
        check(seed, url, saved, known, calls()[begun:])
        if status == 0:
            break
    known, begun = kept(url), len(calls())
    text, status = end(*begin(lambda: run(url, plan)))
    assert status == 0, f"seed {seed}: the last attempt did not end: {text}"
    check(seed, url, saved, known, calls()[begun:])
    assert eval(text)[0] == value, f"seed {seed}: {text} instead of {value}"
    assert rows() == saved, f"seed {seed}: the database lacks {saved - rows()}, has {rows() - saved}"
    return f"{len(saved)} rows of {moments} moments in {attempts} attempts"


def check(seed: int, url: str, saved: set[str], known: set[str], made: list[str]) -> None:
    """Check what holds after every attempt: what is called done is in the database, and was not made again."""
    lost = (kept(url) & saved) - rows()
    assert not lost, f"seed {seed}: called done, and not in the database: {lost}"
    again = known.intersection(made)
    assert not again, f"seed {seed}: recorded, and made again: {again}"


def main(begin_at: int, count: int, folder: str, server: str) -> None:
    """Try so many workflows, beginning with this seed."""
    place = Path(folder)
    place.mkdir(exist_ok=True)
    os.chdir(place)
    for seed in range(begin_at, begin_at + count):
        sys.stdout.write(f"{seed}: {one_workflow(seed, server, place / 'store')}\n")
        sys.stdout.flush()
