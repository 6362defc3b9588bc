"""Rows of live progress: each workload with a display on a terminal, against the same without one."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

from cascade.cli.progress_display.refresher import Refresher
from cascade.cli.progress_display.terminal import TerminalCanvas
from cascade.runtime.progress.displays import Display
from observatory.rows.duel import Duel, Prepare, Run, Side
from observatory.rows.row import Row, Target
from observatory.workloads import WORKLOADS, Workload

SIZES = {
    "simple_countdown": 1_000_000,
    "heavy_countdown": 100_000,
    "mixed_loop": 20_000,
    "chain": 150_000,
    "fan_out": 150_000,
    "layered_dag": 300,
    "map": 3_000_000,
    "sleepers": 10_000,
}
"""Sizes at which a run takes long enough for somebody to look at it; of trees no larger ones are remembered."""

MOST = 1.1


@contextmanager
def display() -> Iterator[Display]:
    """Open a display on a pseudo-terminal that somebody reads."""
    own, other_side = os.openpty()
    fcntl.ioctl(other_side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))

    def read() -> None:
        with suppress(OSError):  # so it ends when the other side is closed
            while os.read(own, 65536):
                pass

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    with os.fdopen(other_side, "w", encoding="utf-8") as stream:
        yield Refresher(partial(TerminalCanvas, stream)).show
    reader.join()
    os.close(own)


def side(workload: Workload, *, shown: bool) -> Side:
    """Return the side of an engine that knows the structure, whose runs are shown or not."""

    @asynccontextmanager
    async def opened(size: int) -> AsyncIterator[Prepare]:
        make = workload.ours()
        with display() as shows:
            async with workload.engine() as engine:

                def prepare(salt: int) -> Run:
                    async def run() -> object:
                        return await engine.run(make(size, salt), progress=shows if shown else None)

                    return run

                yield prepare

    return Side(opened, workload.answer, workload.units)


ROWS = tuple(
    Row(
        f"{workload.name.replace('_', ' ')} with a progress display",
        "the same without it",
        f"us/{workload.unit}",
        SIZES[workload.name],
        5,
        Target(times=MOST),
        Duel(side(workload, shown=False), side(workload, shown=True)),
        "progress",
    )
    for workload in WORKLOADS
    if workload.name in SIZES
)
