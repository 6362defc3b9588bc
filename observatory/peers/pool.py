"""Maps on the bare pools of the standard library: what anybody has without an engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import cache
from multiprocessing import get_context

from observatory import work
from observatory.peers.protocol import Peer, Run, main

WORKERS = os.cpu_count() or 1


@cache
def threads() -> Executor:
    return ThreadPoolExecutor(WORKERS)


@cache
def processes() -> Executor:
    return ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"))


def mapped(pool: Callable[[], Executor], function: Callable[[int], int]) -> Callable[[int], Run]:
    """Express a map with chunks so large that each worker gets four of them."""

    def express(size: int) -> Run:
        chunk = max(1, size // (4 * WORKERS))
        return lambda salt: list(pool().map(function, range(salt, salt + size), chunksize=chunk))

    return express


PEER = Peer(
    "bare pool",
    "",
    {
        "thread_map": mapped(threads, work.square),
        "process_map": mapped(processes, work.square),
        "process_work": mapped(processes, work.busy),
    },
    besides={"": "nothing: no retries, no limits, a failure ends the map"},
    only="a pool maps, and does nothing else",
)

if __name__ == "__main__":
    main(PEER)
