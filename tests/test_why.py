"""What `explain` says of a workflow holds in the run that follows, on random workflows."""

from __future__ import annotations

import random
from typing import Any

import pytest

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.runtime import Engine, MessageBus, SkipReason, TaskEvent, TaskExecutionStarted, TaskSkipped
from cascade.runtime.why import Judgement, Verdict, explain
from cascade.spec import LazyResult, Router

Lazy = LazyResult[Any]
CALLS: list[str] = []


@cs.task
def mix(tag: str, *values: Any) -> int:
    CALLS.append(tag)
    return (len(tag) + sum(_numbers(values))) % 3


@cs.task
def spread(tag: str, value: Any) -> list[int]:
    CALLS.append(tag)
    return list(range(len(tag) % 3 + (value if isinstance(value, int) else 0)))


def _numbers(values: Any) -> list[int]:
    found: list[int] = []
    for each in values:
        found += (
            _numbers(each) if isinstance(each, (list, tuple)) else [each] if isinstance(each, int) else []
        )
    return [number % 7 for number in found]


class Workflow:
    """Draws a workflow; one seed gives one workflow, but for tags that are drawn again with another `salt`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.salts = {f"t{node}": self._random.random() < 0.2 for node in range(30)}

    def build(self, salt: str) -> Lazy:
        state = self._random.getstate()
        nodes: list[Lazy] = [cs.Param("p", 1)]
        for node in range(self._random.randint(4, 14)):
            tag = f"t{node}"
            nodes.append(self._with_policies(self._node(tag + salt * self.salts[tag], nodes), nodes))
        target = mix("target", *self._random.sample(nodes[1:], 3)).with_cache(cs.ByInputs())
        self._random.setstate(state)
        return target

    def _node(self, tag: str, nodes: list[Lazy]) -> Lazy:
        some = [self._random.choice(nodes[-6:]) for _ in range(self._random.randint(1, 2))]
        match self._random.randint(0, 6):
            case 0:
                routes = {key: self._random.choice(nodes) for key in (0, 1, 2)}
                selector = mix(tag + "?", some[0])
                return mix(tag, Router(self._cached(selector), routes))
            case 1:
                return mix.partial(tag).map(self._cached(spread(tag, some[0])))
            case 2:
                return cs.gather(*some)
        return mix(tag, *some)

    def _with_policies(self, lazy: Lazy, nodes: list[Lazy]) -> Lazy:
        if self._random.random() < 0.25:
            condition = self._random.choice(nodes)
            lazy = (
                lazy.run_if(condition, otherwise=1) if self._random.random() < 0.6 else lazy.run_if(condition)
            )
        if self._random.random() < 0.15:
            lazy = lazy.after(self._random.choice(nodes))
        return self._cached(lazy) if lazy.task is not cs.gather().task else lazy

    def _cached(self, lazy: Lazy) -> Lazy:
        draw = self._random.random()
        if draw < 0.1:
            return lazy
        return lazy.with_cache(cs.ByInputs(ttl=10) if draw < 0.2 else cs.ByInputs())


async def run(target: Lazy, cache: InMemoryCacheBackend) -> dict[str, TaskEvent]:
    """Run a target; return the event that tells of each node how it went."""
    told: dict[str, TaskEvent] = {}
    bus = MessageBus()
    bus.subscribe(TaskExecutionStarted, lambda event: told.setdefault(event.task_id, event))
    bus.subscribe(TaskSkipped, lambda event: told.setdefault(event.task_id, event))
    async with Engine(bus=bus, cache_backend=cache) as engine:
        try:
            await engine.run(target)
        except cs.DependencyMissingError:
            told.setdefault("missing", TaskEvent("", "", ""))
    return told


def check(judgement: Judgement, told: dict[str, TaskEvent]) -> None:
    """Hold what was said of a node against what became of it."""
    event = told[judgement.node]
    reason = event.reason if isinstance(event, TaskSkipped) else None
    items = judgement.items
    if judgement.verdict is Verdict.SKIPPED:
        assert reason is judgement.answer.reason or (judgement.until and reason is not None), judgement
    elif judgement.until:
        return
    elif items is not None:
        assert reason is None, judgement
        assert items.total == sum(each.startswith(f"{judgement.node}[") for each in told)
        for index in range(items.total if items.first is None else items.first):
            item = told[f"{judgement.node}[{index}]"]
            assert isinstance(item, TaskSkipped)
            assert item.reason is SkipReason.CACHE_HIT, judgement
    elif judgement.verdict is Verdict.HIT:
        assert reason is SkipReason.CACHE_HIT, judgement
    elif judgement.verdict is Verdict.MISS:
        # Another call of the same key may have been made before it.
        assert reason in (None, SkipReason.CACHE_HIT), judgement
    elif judgement.verdict in (Verdict.INPUT, Verdict.GATHERED):
        assert reason is None, judgement


@pytest.mark.parametrize("batch", range(10))
async def test_a_run_does_what_was_said_of_it(batch: int) -> None:
    """Hits, skips and their reasons come as `explain` tells where it calls them known; it calls no task."""
    now = 0.0

    async def hold(seed: int) -> list[Judgement]:
        nonlocal now
        cache = InMemoryCacheBackend(clock=lambda: now)
        workflow = Workflow(seed)
        await run(workflow.build(""), cache)
        now += random.Random(seed).choice([1, 100])
        target = workflow.build(random.Random(seed).choice(["", "x"]))
        CALLS.clear()
        judgements = await explain(target, cache, clock=lambda: now)
        assert not CALLS
        told = await run(target, cache)
        for judgement in judgements:
            check(judgement, told)
        if all(
            each.verdict in (Verdict.HIT, Verdict.SKIPPED, Verdict.INPUT, Verdict.GATHERED)
            for each in judgements
        ):
            assert not CALLS
        return judgements

    verdicts = [each.verdict for seed in range(batch * 50, batch * 50 + 50) for each in await hold(seed)]
    assert {Verdict.HIT, Verdict.MISS, Verdict.SKIPPED, Verdict.UNKNOWN, Verdict.NOT_CACHED} <= set(verdicts)
