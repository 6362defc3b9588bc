"""Runs that are recorded, stopped and resumed in one process: tasks that note their calls, and what a run shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

import cascade as cs
from cascade.runtime import (
    Engine,
    Event,
    MessageBus,
    RunFinished,
    TaskExecutionFinished,
    TaskExecutionStarted,
    TaskSkipped,
)
from support.stores import recorded

CALLS: list[str] = []
"""The names of the calls that were made, in their order."""
TROUBLE: dict[str, BaseException] = {}
"""What calls raise, by their names."""


@pytest.fixture
def story() -> Iterator[None]:
    """Begin with no calls and no trouble."""
    yield
    CALLS.clear()
    TROUBLE.clear()


def noted(name: str) -> None:
    """Note a call."""
    CALLS.append(name)
    if name in TROUBLE:
        raise TROUBLE[name]


@cs.task
def give(name: str, value: Any = None, *after: Any) -> Any:
    noted(name)
    return value


@cs.task
def add(name: str, *values: int) -> int:
    noted(name)
    return sum(values)


@cs.task
async def give_later(name: str, value: Any = None) -> Any:
    noted(name)
    await asyncio.sleep(0)
    return value


@cs.task
def item(x: int, name: str = "item") -> int:
    noted(f"{name} {x}")
    return 10 * x


@cs.task(mode="process")
def in_process(number: int) -> int:
    return number + 1


@cs.task
def count(left: int, name: str = "round", *others: Any) -> int | cs.LazyResult[int]:
    noted(f"{name} {left}")
    return count(left - 1, name) if left else 7


@cs.task
def count_with_parts(left: int, name: str, *others: Any) -> int | cs.LazyResult[int]:
    """Each round waits for a part of its own."""
    noted(f"{name} {left}")
    return count_with_parts(left - 1, name, give(f"part of {name} {left - 1}")) if left else 7


def sixty() -> Any:
    """Return a run of some 60 nodes with all that is recorded: values, skips, routes, maps, loops."""
    off = give("off", False)
    router = cs.Router(give("selector", "x"), {"x": give("route x", 1), "y": give("route y", 2)})
    chain = give("chain 0", 1)
    for number in range(1, 12):
        chain = add(f"chain {number}", chain)
    wide = [add(f"wide {number}", give_later(f"leaf {number}", number)) for number in range(8)]
    return add(
        "end",
        chain,
        add("routed", router),
        give("skipped", 1).run_if(off, otherwise=3),
        add("loop", count_with_parts(6, "loop")),
        cs.pipeline(item.map(x=[1, 2, 3]), [total]),
        *wide,
    )


@cs.task
def total(values: list[int]) -> int:
    return sum(values)


WANTED = 1 + 1 + 3 + 7 + 60 + 28


@dataclass
class Seen:
    """What one run showed."""

    value: Any = None
    error: BaseException | None = None
    calls: list[str] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    @property
    def recovered(self) -> list[str]:
        """The ids of the nodes that were read from the store."""
        return [each.task_id for each in self.skips("Recovered")]

    def skips(self, reason: str) -> list[TaskSkipped]:
        """The skips that have this reason."""
        return [each for each in self.events if isinstance(each, TaskSkipped) and each.reason == reason]

    def check_ends(self) -> None:
        """Check that each call that has begun has ended once, and that nothing is both called and skipped."""
        started = [each.task_id for each in self.events if isinstance(each, TaskExecutionStarted)]
        ended = [each.task_id for each in self.events if isinstance(each, TaskExecutionFinished)]
        skipped = [each.task_id for each in self.events if isinstance(each, TaskSkipped)]
        assert sorted(started) == sorted(ended)
        assert len(set(ended + skipped)) == len(ended + skipped)
        assert not self.events or isinstance(self.events[-1], RunFinished)


async def play(url: str, target: object, *, make: Any = None, engine: Any = None, **options: Any) -> Seen:
    """Run a target that is recorded, whatever comes of it."""
    seen = Seen()
    CALLS.clear()
    bus = MessageBus()
    bus.subscribe(Event, seen.events.append)
    state = recorded(url) if make is None else make
    try:
        async with Engine(bus=bus, state_backend_cls=state, **(engine or {})) as made:
            seen.value = await made.run(target, run_id=options.pop("run_id", "r"), **options)
    except (Exception, KeyboardInterrupt, asyncio.CancelledError) as error:  # noqa: BLE001 - is looked at
        seen.error = error
    seen.calls = list(CALLS)
    seen.check_ends()
    return seen


async def stopped(url: str, target: object, *names: str, **options: Any) -> Seen:
    """Run a target, some of whose calls fail; the next time they don't."""
    TROUBLE.update((name, ValueError(name)) for name in names)
    seen = await play(url, target, **options)
    assert seen.error is not None
    TROUBLE.clear()
    return seen
