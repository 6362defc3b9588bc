"""Claims about patience with a store: silence is told in time, and being held up is not taken for silence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from cascade.adapters.patience import Patience, answered_within
from cascade.adapters.server_lanes import Lane, Lanes

SECONDS = 10.0


class HeldUpLoop(asyncio.SelectorEventLoop):
    """An event loop that can be held up: its clock jumps."""

    held_up = 0.0

    def time(self) -> float:
        return super().time() + self.held_up


@pytest.fixture
def held_up() -> Iterator[HeldUpLoop]:
    loop = HeldUpLoop()
    yield loop
    loop.close()


def test_a_loop_that_is_held_up_loses_no_patience(held_up: HeldUpLoop) -> None:
    """To be held up for much longer than patience lasts, once, is not the end of it; to be so ten times is."""

    async def main() -> list[bool]:
        patience, found = Patience(SECONDS), []
        patience.begin()
        for _ in range(10):
            found.append(patience.is_over)
            held_up.held_up += 100 * SECONDS
            for _ in range(3):  # what has been answered meanwhile is looked at
                await asyncio.sleep(0)
        return [*found, patience.is_over]

    assert held_up.run_until_complete(main()) == [False] * 10 + [True]


@pytest.mark.virtual_time
async def test_silence_ends_patience_in_time() -> None:
    """Where nothing holds up the loop, patience is over when its seconds are, with a `TimeoutError`."""
    clock = asyncio.get_running_loop().time
    began = clock()
    with pytest.raises(TimeoutError), answered_within(SECONDS):
        await asyncio.Event().wait()
    assert clock() - began == pytest.approx(SECONDS)


@pytest.mark.virtual_time
async def test_a_crowd_is_told_at_once_that_a_server_is_silent() -> None:
    """Of a hundred who ask a silent server through four places all are told when the first ones are, not one by one."""
    lanes = Lanes(4, (TimeoutError,))
    clock = asyncio.get_running_loop().time
    began = clock()

    async def ask() -> float:
        try:
            async with lanes.place(Lane.ANY) as patience:
                with patience.limit():
                    await asyncio.Event().wait()
        except TimeoutError:
            return clock() - began
        raise AssertionError("answered")

    told = await asyncio.gather(*(ask() for _ in range(100)))
    assert max(told) == pytest.approx(min(told))
    assert max(told) < 5


@pytest.mark.virtual_time
async def test_who_waits_for_others_waits_as_long_as_they_take() -> None:
    """Places that are taken by deeds that go well are waited for, however long that takes in all."""
    lanes = Lanes(2, (TimeoutError,))

    async def ask() -> str:
        async with lanes.place(Lane.ANY) as patience:
            with patience.limit():
                await asyncio.sleep(3)
        return "answered"

    assert await asyncio.gather(*(ask() for _ in range(20))) == ["answered"] * 20


@pytest.mark.virtual_time
async def test_leases_and_writes_wait_for_no_crowd() -> None:
    """While all places for anything are taken, a write and a renewal of leases go on at once."""
    lanes = Lanes(1, (TimeoutError,))
    clock = asyncio.get_running_loop().time
    began = clock()

    async def ask(lane: Lane) -> float:
        async with lanes.place(lane):
            await asyncio.sleep(1)
        return clock() - began

    many = [asyncio.create_task(ask(Lane.ANY)) for _ in range(10)]
    assert max(await asyncio.gather(ask(Lane.WRITES), ask(Lane.LEASES))) == pytest.approx(1)
    assert max(await asyncio.gather(*many)) == pytest.approx(10)
