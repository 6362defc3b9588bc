"""Features: what may stand beside a call, such as a retry, a listener, a resource. Rows and the grid combine them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import cascade as cs
from cascade.adapters.cache import InMemoryCacheBackend
from cascade.runtime.events import Event, TaskExecutionFinished
from cascade.runtime.otel import instrument
from cascade.runtime.timeline.timeline_of_runs import Timeline

Function = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Calls:
    """Makes lazy results of one task that has a feature: of one call, and of a map over items."""

    one: Callable[[object], Any]
    each: Callable[[Iterable[object]], Any]


def itself(anything: Any) -> Any:
    return anything


@dataclass(frozen=True, slots=True)
class Feature:
    """What stands beside each call of a function whose only parameter is `value`.

    `wrap` changes the function, `options` are those of `cs.task`, `chained` changes each lazy result, `mapping` is what
    a map takes besides. With `same` the literals are the same in each repeat.
    """

    name: str
    wrap: Callable[[Function], Function] = itself
    options: Mapping[str, Any] = field(default_factory=dict)
    chained: Callable[[Any], Any] = itself
    mapping: Mapping[str, Any] = field(default_factory=dict)
    engine: Callable[[], cs.Engine] = cs.Engine
    by_keyword: bool = False
    same: bool = False

    def calls(self, function: Function) -> Calls:
        """Return what makes calls of this function with the feature."""
        task = cs.task(**self.options)(self.wrap(function))
        chained, mapping = self.chained, self.mapping

        def one(value: object) -> Any:
            return chained(task(value))

        def by_keyword(value: object) -> Any:
            return chained(task(value=value))

        def each(values: Iterable[object]) -> Any:
            return chained(task.map(value=values, **mapping))

        if self.by_keyword:
            return Calls(by_keyword, each)
        return Calls(task if chained is itself else one, each)


def asynchronous(function: Function) -> Function:
    """Return a coroutine function that does the same and awaits nothing."""

    async def call(value: Any) -> Any:
        return function(value)

    return call


@cs.resource
def tool() -> Iterator[int]:
    yield 0


def with_tool(function: Function) -> Function:
    """Return a function that takes a resource as well; it does nothing with it."""

    def call(value: Any, tool: int = cs.inject("tool")) -> Any:
        return function(value + tool)

    return call


def engine_with_tool() -> cs.Engine:
    engine = cs.Engine()
    engine.register(tool)
    return engine


def heard(event: type[Event]) -> Callable[[], cs.Engine]:
    """Return what makes an engine on which somebody listens to these events."""

    def make() -> cs.Engine:
        engine = cs.Engine()
        engine.bus.subscribe(event, lambda event: None)
        return engine

    return make


def spanned(calls: list[str] | None) -> Callable[[], cs.Engine]:
    """Return what makes an engine with OpenTelemetry spans of these tasks; they go nowhere."""

    def make() -> cs.Engine:
        engine = cs.Engine()
        instrument(engine, calls=calls)
        return engine

    return make


def with_cache() -> cs.Engine:
    """Return an engine with an empty cache in memory that holds what the largest measured run puts there."""
    return cs.Engine(cache=InMemoryCacheBackend(max_entries=20_000))


PLAIN = Feature("nothing besides")
ASYNC = Feature("async", wrap=asynchronous)
KEYWORD = Feature("by keyword", by_keyword=True)
RETRY = Feature("a retry that does not fire", options={"retry": 2})
TIMELINE = Feature("a timeline", engine=lambda: cs.Engine(timeline=Timeline()))
COUNTERS = Feature("a timeline of figures alone", engine=lambda: cs.Engine(timeline=Timeline(timed=False)))
SPANS = Feature("OpenTelemetry spans", engine=spanned(None))
OTHER_SPANS = Feature("OpenTelemetry spans of other tasks", engine=spanned(["another"]))
LISTENER = Feature("a listener on finished calls", engine=heard(TaskExecutionFinished))
EVERY_EVENT = Feature("a listener on every event", engine=heard(Event))
ASYNC_LISTENER = Feature(
    "async, and a listener on finished calls", wrap=asynchronous, engine=heard(TaskExecutionFinished)
)
RESOURCE = Feature("a resource of the run", wrap=with_tool, engine=engine_with_tool)
CONCURRENCY = Feature("`max_concurrency` of the engine", engine=lambda: cs.Engine(max_concurrency=4))
MAP_CONCURRENCY = Feature("`max_concurrency` of the map", mapping={"max_concurrency": 4})
CONSTRAINTS = Feature(
    "constraints",
    chained=lambda lazy: lazy.with_constraints(gpu=1),
    engine=lambda: cs.Engine(system_resources={"gpu": 2}),
)
MISS = Feature("a cache in memory: miss", options={"cache": cs.ByInputs()}, engine=with_cache)
HIT = Feature("a cache in memory: hit", options={"cache": cs.ByInputs()}, engine=with_cache, same=True)

FEATURES = (
    PLAIN,
    KEYWORD,
    RETRY,
    COUNTERS,
    TIMELINE,
    LISTENER,
    EVERY_EVENT,
    RESOURCE,
    CONCURRENCY,
    CONSTRAINTS,
    MISS,
    HIT,
    ASYNC,
    ASYNC_LISTENER,
)
"""Those of the grid."""
