"""Durable workloads on DBOS with its SQLite database: steps in a workflow, each checkpointed."""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

from dbos import DBOS, DBOSConfig  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main

FOLDER = tempfile.mkdtemp(prefix="observatory-dbos-")


def start() -> None:
    config: DBOSConfig = {
        "name": "observatory",
        "system_database_url": f"sqlite:///{FOLDER}/dbos.sqlite",
        "log_level": "CRITICAL",
        "run_admin_server": False,
    }
    DBOS(config=config)
    DBOS.launch()


@DBOS.step()  # type: ignore[untyped-decorator,unused-ignore]
def add_one(value: int) -> int:
    return work.add_one(value)


@DBOS.step()  # type: ignore[untyped-decorator,unused-ignore]
def double(value: int) -> int:
    return work.double(value)


@DBOS.step()  # type: ignore[untyped-decorator,unused-ignore]
def total(values: list[int]) -> int:
    return work.total(values)


@DBOS.workflow()  # type: ignore[untyped-decorator,unused-ignore]
def chained(size: int, value: int) -> int:
    for _ in range(size):
        value = add_one(value)
    return value


@DBOS.workflow()  # type: ignore[untyped-decorator,unused-ignore]
def fanned_out(size: int, first: int) -> Any:
    return total([double(value) for value in range(first, first + size)])


def chain(size: int) -> Run:
    return lambda salt: chained(size, salt)


def fan_out(size: int) -> Run:
    return lambda salt: fanned_out(size, salt)


PEER = Peer(
    "dbos",
    "dbos",
    {"durable_chain": chain, "durable_fan_out": fan_out},
    start=start,
    besides={
        "": "checkpoints each step in its system database before the next; recovers workflows by itself after a "
        "crash, through threads of its own; queues and schedules"
    },
    only="a workflow is plain Python whose steps are all checkpointed: nothing runs in memory alone",
)

if __name__ == "__main__":
    main(PEER)
    sys.stdout.flush()
    os._exit(0)  # its threads would keep the process
