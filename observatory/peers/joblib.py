"""Maps on joblib: threads, and its own process pool loky, which is kept between runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from joblib import Parallel, delayed  # type: ignore[import-not-found,unused-ignore]

from observatory import work
from observatory.peers.protocol import Peer, Run, main


def mapped(backend: str, function: Callable[[int], int]) -> Callable[[int], Run]:
    """Express a map whose batches joblib adapts to how long they take, as it does by default."""

    def express(size: int) -> Run:
        call: Any = delayed(function)

        def run(salt: int) -> Any:
            parallel = Parallel(n_jobs=os.cpu_count(), backend=backend)
            return parallel(call(x) for x in range(salt, salt + size))

        return run

    return express


PEER = Peer(
    "joblib",
    "joblib",
    {
        "thread_map": mapped("threading", work.square),
        "process_map": mapped("loky", work.square),
        "process_work": mapped("loky", work.busy),
    },
    besides={"": "batches that adapt to measured times; workers that are started again when they crash"},
    only="joblib maps; it has no graphs, no loops and no records of runs",
)

if __name__ == "__main__":
    main(PEER)
