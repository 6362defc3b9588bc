"""The table of timeouts and cancellation in "Use every core": each line is tried on the real executor."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from cascade.adapters.executors.call_places import Interruption
from cascade.adapters.executors.local import LocalExecutor
from cascade.adapters.executors.processes import ProcessExecutor
from cascade.runtime.protocols import Executor
from cascade.testing.conformance.interruptions import Lingering, cancellation_effect, timeout_effect
from cascade.testing.conformance.sample_tasks import linger, linger_later

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "use-every-core.md"


def lines_of_the_table() -> dict[str, tuple[str, str]]:
    """Return what the page says, by where the call is made."""
    table = PAGE.read_text().partition("| where the call is made |")[2].partition("\n\n")[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines()[2:]]
    return {where: (timeout, cancellation) for where, timeout, cancellation in rows}


class Own:
    """A user's executor that says nothing of what it does. It makes calls in threads."""

    def __init__(self) -> None:
        self._threads = LocalExecutor("thread")

    async def execute(self, node: Any, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        return await self._threads.execute(node, args, kwargs)

    async def close(self) -> None:
        await self._threads.close()


class Row(NamedTuple):
    """How a line of the table is tried."""

    make: Callable[[], Executor]
    call: Lingering = linger
    holds_loop: bool = False


def on_ray() -> Executor:
    from cascade.adapters.executors.ray import RayExecutor

    return RayExecutor()


ROWS = {
    "`async def`, on the event loop": Row(LocalExecutor, linger_later),
    "inline": Row(LocalExecutor, holds_loop=True),
    "threads": Row(lambda: LocalExecutor("thread")),
    "processes": Row(lambda: ProcessExecutor(1)),
    "an executor of your own": Row(Own),
}


def check(where: str, row: Row) -> None:
    """Try both cells of a line."""

    async def effects() -> list[Interruption]:
        executor = row.make()
        close: Callable[[], Awaitable[None]] = getattr(executor, "close")  # noqa: B009 - all of these have one
        try:
            timeout = await timeout_effect(executor, row.call)
            return [timeout, await cancellation_effect(executor, row.call, row.holds_loop)]
        finally:
            await close()

    assert tuple(asyncio.run(effects())) == lines_of_the_table()[where]


@pytest.mark.parametrize("where", ROWS)
def test_a_line_of_the_table_is_true(where: str) -> None:
    """What the page says of an executor is what happens there."""
    check(where, ROWS[where])


@pytest.mark.server
@pytest.mark.usefixtures("ray_cluster")
def test_the_line_of_ray_is_true() -> None:
    """The same on a real Ray."""
    check("Ray", Row(on_ray))


def test_the_line_of_dask_is_true(dask_address: str) -> None:
    """The same on a real cluster of Dask."""
    from cascade.adapters.executors.dask import DaskExecutor

    check("Dask", Row(lambda: DaskExecutor(dask_address)))


def test_the_table_has_all_executors_in_the_words_of_the_code() -> None:
    """Each line is tried here, and each cell is a word of `Interruption`."""
    table = lines_of_the_table()
    assert {*table} == {*ROWS, "Ray", "Dask"}
    assert {cell for row in table.values() for cell in row} <= {*Interruption}
