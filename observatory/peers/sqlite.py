"""Durable workloads on the standard library's `sqlite3` alone: a row and a commit for each call, WAL, FULL."""

from __future__ import annotations

import sqlite3
import tempfile
from functools import cache
from itertools import count
from typing import Any

from observatory import work
from observatory.peers.protocol import Peer, Run, main

RUNS = count(1)


@cache
def database() -> sqlite3.Connection:
    connection = sqlite3.connect(f"{tempfile.mkdtemp()}/facts.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE facts (run, node, value, PRIMARY KEY (run, node))")
    return connection


def keep(run: int, node: int, value: int) -> None:
    database().execute("INSERT INTO facts VALUES (?, ?, ?)", (run, node, value))


def chain(size: int) -> Run:
    def run(salt: int) -> Any:
        value, number = salt, next(RUNS)
        for node in range(size):
            value = work.add_one(value)
            keep(number, node, value)
        return value

    return run


def fan_out(size: int) -> Run:
    def run(salt: int) -> Any:
        values, number = [], next(RUNS)
        for value in range(salt, salt + size):
            values.append(work.double(value))
            keep(number, value - salt, values[-1])
        answer = work.total(values)
        keep(number, size, answer)
        return answer

    return run


PEER = Peer(
    "bare sqlite3",
    "",
    {"durable_chain": chain, "durable_fan_out": fan_out},
    besides={"": "nothing: a commit for each value, no record from which a run could go on by itself"},
    only="a database",
)

if __name__ == "__main__":
    main(PEER)
