"""Claims about large values and the event loop: it goes on while they are encoded, put, read and decoded."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from support.value_stores import MemoryValues

import cascade as cs
from cascade.adapters.codec import DataCodec

SIZE = 2_000_000
OVER = 10_000


class Ticks:
    """Counts the turns of an event loop. A thread may wait for some of them."""

    def __init__(self) -> None:
        self._count = 0
        self._ticked = threading.Condition()
        self.waited: list[str] = []

    async def tick(self) -> None:
        while True:
            await asyncio.sleep(0)
            with self._ticked:
                self._count += 1
                self._ticked.notify_all()

    def wait(self, what: str) -> None:
        """Wait for ten turns. In the thread of the event loop that would be for ever."""
        assert threading.current_thread() is not threading.main_thread(), f"{what} holds the event loop"
        with self._ticked:
            goal = self._count + 10
            assert self._ticked.wait_for(lambda: self._count >= goal, 60)
        self.waited.append(what)


class TickingStore(MemoryValues):
    """Waits for turns of the event loop in each call."""

    def __init__(self, ticks: Ticks) -> None:
        super().__init__()
        self.ticks = ticks

    def put(self, name: str, data: bytes, *, safe: bool) -> None:
        self.ticks.wait("put")
        super().put(name, data, safe=safe)

    def get(self, name: str, size: int) -> bytes:
        self.ticks.wait("get")
        return super().get(name, size)


class TickingCodec(DataCodec):
    """Waits for turns of the event loop where a large value is encoded or decoded."""

    def __init__(self, ticks: Ticks) -> None:
        super().__init__()
        self.ticks = ticks

    def encode(self, value: object, *, key: bytes) -> bytes:
        data = super().encode(value, key=key)
        if len(data) > OVER:
            self.ticks.wait("encode")
        return data

    def decode(self, data: bytes, *, key: bytes) -> object:
        if len(data) > OVER:
            self.ticks.wait("decode")
        return super().decode(data, key=key)


@cs.task
def inline(number: int) -> bytes:
    return bytes([number]) * SIZE


@cs.task
async def coroutine(number: int) -> list[str]:
    return ["x" * 1000] * (SIZE // 1000)


@cs.task(mode="thread")
def thread(number: int) -> dict[str, bytes]:
    return {"data": bytes(SIZE)}


@cs.task(retry=cs.RetryPolicy(max_attempts=1))
def with_policies(number: int) -> bytearray | bytes:
    return bytes(SIZE)


@cs.task
def stopped_first(value: Any, marker: str) -> int:
    if not Path(marker).exists():
        Path(marker).touch()
        raise OSError("down")
    return len(value)


@pytest.mark.parametrize("task", [inline, coroutine, thread, with_policies], ids=lambda task: task.name)
async def test_the_event_loop_goes_on_while_a_large_value_is_handled(
    task: Any, file_url: str, tmp_path: Path
) -> None:
    """Encoded once, and put, then read and decoded when the run goes on: each time the loop has its turns meanwhile."""
    ticks = Ticks()
    store, codec = TickingStore(ticks), TickingCodec(ticks)
    ticking = asyncio.create_task(ticks.tick())
    target = stopped_first(task(7), str(tmp_path / "marker"))
    settings: dict[str, Any] = {"values": store, "values_over": OVER, "codec": codec}
    async with cs.Engine(state=file_url, **settings) as engine:
        with pytest.raises(OSError, match="down"):
            await engine.run(target, run_id="r")
        assert ticks.waited == ["encode", "put"]
        ticks.waited.clear()
        assert await engine.run(target, run_id="r") in (SIZE, SIZE // 1000, 1)
        assert ticks.waited == ["get", "decode"]
    ticking.cancel()


async def test_others_run_meanwhile(file_url: str) -> None:
    """While the value of one call is put, the calls of another run on the same engine are made."""
    done = threading.Event()

    class Waiting(MemoryValues):
        def put(self, name: str, data: bytes, *, safe: bool) -> None:
            assert done.wait(60)
            super().put(name, data, safe=safe)

    @cs.task
    async def small(number: int) -> int:
        return number + 1

    async with cs.Engine(state=file_url, values=Waiting(), values_over=OVER) as engine:
        large = asyncio.create_task(engine.run(inline(1), run_id="large"))
        value: Any = 0
        for _ in range(5):
            value = small(value)
        assert await engine.run(value, run_id="small") == 5
        done.set()
        assert await large == bytes([1]) * SIZE


async def test_a_large_value_is_encoded_once(file_url: str) -> None:
    """The first of its task as all others, also where its size does not show before it is encoded."""
    encoded: list[int] = []

    class Counting(DataCodec):
        def encode(self, value: object, *, key: bytes) -> bytes:
            data = super().encode(value, key=key)
            if len(data) > OVER:
                encoded.append(len(data))
            return data

    @cs.task
    def hidden(number: int) -> list[Any]:
        return [*range(20), ["y" * SIZE]]  # only its last item is large

    async with cs.Engine(state=file_url, values=MemoryValues(), values_over=OVER, codec=Counting()) as engine:
        await engine.run(hidden(1), run_id="hidden")
        assert len(encoded) == 1
        await engine.run(inline(1), run_id="inline")
        assert len(encoded) == 2


@cs.task
def length(value: Any) -> int:
    return len(value)


@cs.task
def add(one: int, other: int) -> int:
    return one + other


@cs.task
def inside(number: int, marker: str) -> Any:
    """Return a tree that stops when a large value in it has been used already."""
    value = inline(number)
    return add(length(value), stopped_first("xy", marker).after(length(value)))


async def test_what_is_done_inside_of_a_call_is_not_read_again(file_url: str, tmp_path: Path) -> None:
    """Of a tree in the place of a call, or of an item, a run that goes on reads only what somebody looks at."""
    store = MemoryValues()
    async with cs.Engine(state=file_url, values=store, values_over=OVER) as engine:
        target = [add(inside(1, str(tmp_path / "call")), 1), inside.map([2], marker=[str(tmp_path / "item")])]
        for _ in range(2):
            with pytest.raises(OSError, match="down"):
                await engine.run(target, run_id="r")
        store.calls.clear()
        assert await engine.run(target, run_id="r") == [SIZE + 3, [SIZE + 2]]
    assert not [call for call in store.calls if call.startswith("get")]
