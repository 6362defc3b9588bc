"""Claims about `instrument`: spans and metrics of OpenTelemetry, with its real SDK and exporters in memory."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from descriptions import Workflow
from hypothesis import given, settings
from observation import observe, plain_engine
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode
from support.chunk_tasks import span_here
from workflows import workflows

import cascade as cs
from cascade.runtime import Engine, Event, MessageBus, TaskExecutionFinished
from cascade.runtime.otel import Attribute, Instrumentation, instrument

_exporter = InMemorySpanExporter()
_reader = InMemoryMetricReader()
_tracers = TracerProvider()
_tracers.add_span_processor(SimpleSpanProcessor(_exporter))


class Spans:
    """The spans that have ended since the last look."""

    def take(self) -> list[ReadableSpan]:
        spans = list(_exporter.get_finished_spans())
        _exporter.clear()
        return spans

    def names(self) -> list[str]:
        return sorted(span.name for span in self.take())


@pytest.fixture(scope="module", autouse=True)
def providers() -> None:
    """The application's own providers; they can be set once in a process."""
    trace.set_tracer_provider(_tracers)
    metrics.set_meter_provider(MeterProvider([_reader]))


@pytest.fixture
def spans() -> Iterator[Spans]:
    _exporter.clear()
    yield Spans()
    _exporter.clear()


Made = Callable[..., Instrumentation]


@pytest.fixture
def instrumented() -> Iterator[Made]:
    made: list[Instrumentation] = []

    def make(engine: Engine | None = None, **options: Any) -> Instrumentation:
        made.append(instrument(engine, **options))
        return made[-1]

    yield make
    for each in made:
        each.uninstrument()


def current() -> str:
    """Return the name of the span that is current here."""
    span: Any = trace.get_current_span()
    return str(getattr(span, "name", "none"))


def by_name(spans: list[ReadableSpan]) -> dict[str, ReadableSpan]:
    found = {span.name: span for span in spans}
    assert len(found) == len(spans)
    return found


def context_of(span: ReadableSpan) -> SpanContext:
    context: SpanContext | None = span.context
    assert context is not None
    return context


def is_child(child: ReadableSpan, parent: ReadableSpan) -> bool:
    above = child.parent
    return above is not None and (above.trace_id, above.span_id) == (
        context_of(parent).trace_id,
        context_of(parent).span_id,
    )


@cs.task
def here(*_: Any) -> str:
    return current()


@cs.task
def again(*_: Any) -> str:
    return current()


@cs.task
async def later(*_: Any) -> str:
    await asyncio.sleep(0)
    assert await asyncio.create_task(asyncio.to_thread(current)) == current()
    return current()


@cs.task(mode="thread")
def in_thread(*_: Any) -> str:
    return current()


@cs.task
def join(*names: Any) -> list[Any]:
    return [*names, current()]


@cs.task
def tree(*_: Any) -> Any:
    return join(here())


@cs.task
def awaitable(*_: Any) -> Any:
    async def work() -> str:
        return current()

    return work()


@cs.task
def fail(_: Any = 0) -> NoReturn:
    raise ValueError("no such boot")


# Spans


async def test_a_run_has_a_span_and_each_call_one_inside_of_it(spans: Spans, instrumented: Made) -> None:
    """A run has one span, each call one below it; they say which run, task and call they are."""
    async with Engine() as engine:
        instrumented(engine)
        for _ in range(3):
            assert await engine.run(join(here(), later()), run_id="r") == ["here", "later", "join"]
            found = by_name(spans.take())
            run = found.pop("run join")
            assert run.parent is None
            assert dict(run.attributes or {}) == {
                Attribute.RUN_ID: "r",
                Attribute.RUN_TARGET: "join",
                Attribute.RUN_RESUMED: False,
                Attribute.RUN_STATUS: "Succeeded",
            }
            assert sorted(found) == ["here", "join", "later"]
            for name, span in found.items():
                assert is_child(span, run)
                facts = span.attributes or {}
                assert facts[Attribute.TASK_NAME] == name
                assert facts[Attribute.RUN_ID] == "r"
                assert facts[Attribute.CALL_STATUS] == "Succeeded"
                assert facts[Attribute.CALL_ATTEMPTS] == 1
                assert str(facts[Attribute.FUNCTION]).endswith(f"test_engine_otel.{name}")
                times = [run.start_time, span.start_time, span.end_time, run.end_time]
                assert times == sorted(times, key=lambda time: time or 0)


TARGETS: dict[str, tuple[Callable[[], Any], Any]] = {
    "inline": (lambda: here(), "here"),
    "a chain": (lambda: join(again(here())), ["again", "join"]),
    "a coroutine": (lambda: later(1), "later"),
    "an awaitable": (lambda: awaitable(), "awaitable"),
    "a thread": (lambda: in_thread(), "in_thread"),
    "mixed": (lambda: join(in_thread(), later(), here()), ["in_thread", "later", "here", "join"]),
    "a tree": (lambda: tree(), ["here", "join"]),
    "cached": (lambda: again().with_cache(cs.ByInputs()), "again"),
    "constrained": (lambda: here().with_constraints(gpu=1), "here"),
    "with retries": (lambda: here().with_retry(2), "here"),
    "a timeout": (lambda: later().with_timeout(5), "later"),
    "after": (lambda: here().after(again()), "here"),
    "a condition": (lambda: here().run_if(again()), "here"),
    "a map": (lambda: here.map([1, 2]), ["here", "here"]),
    "a map of coroutines": (lambda: later.map([1, 2]), ["later", "later"]),
    "a map in threads": (lambda: in_thread.map([1, 2, 3]), ["in_thread"] * 3),
    "a map of trees": (lambda: tree.map([1]), [["here", "join"]]),
    "a map with timeouts": (lambda: later.map([1]).with_timeout(5), ["later"]),
    "a map in a tree": (lambda: join(again(), here.map([1, 2])), ["again", ["here", "here"], "join"]),
}


@pytest.mark.parametrize("heard", [False, True], ids=["unheard", "heard"])
@pytest.mark.parametrize("bound", [None, 1])
async def test_the_span_is_current_inside_the_call(
    spans: Spans, instrumented: Made, heard: bool, bound: int | None
) -> None:
    """Inside a call its span is the current one, in whatever way it is made; inside an item that of the map."""
    bus = MessageBus()
    if heard:
        bus.subscribe(Event, lambda _: None)
    async with Engine(bus=bus, system_resources={"gpu": 1}, max_concurrency=bound) as engine:
        instrumented(engine)
        for name, (make, expected) in TARGETS.items():
            assert (name, await engine.run(make())) == (name, expected)
            assert current() == "none"
            ended = spans.take()
            runs = [span for span in ended if span.name.startswith("run ")]
            assert len(runs) == 1
            assert len({context_of(span).trace_id for span in ended}) == 1


@pytest.mark.parametrize("executor", ["inline", "threads:2", "processes:1"])
async def test_the_trace_goes_along_to_where_calls_are_made(
    spans: Spans, instrumented: Made, executor: str
) -> None:
    """In threads and worker processes, the span of the call, or of its map, is current: its trace context travels."""
    async with Engine(executor=executor) as engine:
        instrumented(engine)
        found = await engine.run([span_here(), span_here.map([1, 2])])
        single, items = found
        ended = [span for span in spans.take() if span.name == "span_here"]
        mapped = next(span for span in ended if Attribute.MAP_ITEMS in (span.attributes or {}))
        alone = next(span for span in ended if span is not mapped)
        assert single == _ids(alone)
        assert items == [_ids(mapped)] * 2
    async with Engine(executor=executor) as engine:
        assert await engine.run(span_here()) == (0, 0)  # not instrumented


def _ids(span: ReadableSpan) -> tuple[int, int]:
    return context_of(span).trace_id, context_of(span).span_id


async def test_a_map_has_one_span_and_its_items_none(spans: Spans, instrumented: Made) -> None:
    """By default a map has one span, which says how many items it has."""
    async with Engine() as engine:
        instrumented(engine)
        for target in (here.map(range(50)), in_thread.map(range(50)), later.map(range(50))):
            await engine.run(target)
            run, mapped = sorted(spans.take(), key=lambda span: not span.name.startswith("run"))
            assert is_child(mapped, run)
            assert (mapped.attributes or {})[Attribute.MAP_ITEMS] == 50


async def test_calls_says_which_tasks_have_spans(spans: Spans, instrumented: Made) -> None:
    """With `calls` the tasks of these names have spans, one for each item of theirs too, and no others."""
    async with Engine() as engine:
        instrumented(engine, calls=["here"])
        assert await engine.run(join(here(), again())) == ["here", "run join", "run join"]
        assert spans.names() == ["here", "run join"]
        assert await engine.run(join(here.map([1, 2]), again.map([1]))) == [
            ["here", "here"],
            ["run join"],
            "run join",
        ]
        ended = spans.take()
        assert sorted(span.name for span in ended) == ["here", "here", "here", "run join"]
        items = [(span.attributes or {}).get(Attribute.CALL_ITEM) for span in ended if span.name == "here"]
        assert sorted(items, key=str) == [0, 1, None]


async def test_other_trees_are_run_as_ever(spans: Spans, instrumented: Made) -> None:
    """With `calls`, trees without such tasks take every short cut, and those with them have their spans, in any mix."""

    @cs.task
    def down(left: int) -> Any:
        return down(left - 1) if left else tree()

    async with Engine() as engine:
        instrumented(engine, calls=["here", "later"])
        for _ in range(8):
            assert await engine.run(join(again(), in_thread())) == ["run join"] * 3
            assert spans.names() == ["run join"]
            assert await engine.run(down(50)) == ["here", "run down"]
            assert spans.names() == ["here", "run down"]
            assert await engine.run(tree.map([1, 2])) == [["here", "run tree"]] * 2
            assert spans.names() == ["here", "here", "run tree"]
            assert await engine.run(join(later(again()), again())) == ["later", "run join", "run join"]
            assert spans.names() == ["later", "run join"]


async def test_with_no_names_only_runs_have_spans(spans: Spans, instrumented: Made) -> None:
    """`calls=[]` leaves the span of the run, which is current in all calls."""
    async with Engine() as engine:
        instrumented(engine, calls=[])
        for _ in range(5):
            target = join(here(), here(), again.map([1]))
            assert await engine.run(target) == ["run join", "run join", ["run join"], "run join"]
            assert spans.names() == ["run join"]


def test_wrong_names_are_refused() -> None:
    """A text or something else than names is refused, and says what to give."""
    for wrong in ("fetch", [1]):
        with pytest.raises(cs.CascadeError, match="give the names of tasks"):
            instrument(calls=wrong)  # type: ignore[arg-type]  # the claim


async def test_links_lead_to_the_calls_whose_values_are_taken(spans: Spans, instrumented: Made) -> None:
    """A call has links to the spans of the calls that it takes values of, also through containers and gathering."""
    async with Engine() as engine:
        instrumented(engine)
        await engine.run(join(here(), [again()], cs.gather(later(), in_thread())))
        found = by_name(spans.take())
        linked = {link.context.span_id for link in found["join"].links}
        assert linked == {context_of(found[name]).span_id for name in ("here", "again", "later", "in_thread")}
        assert not found["here"].links


async def test_calls_of_a_returned_tree_are_below_the_call_that_returned_it(
    spans: Spans, instrumented: Made
) -> None:
    """A span may get children when its call has ended: those of the tree in its place."""
    async with Engine() as engine:
        instrumented(engine)
        await engine.run(again(tree()))
        found = by_name(spans.take())
        assert is_child(found["join"], found["tree"])
        assert is_child(found["here"], found["tree"])
        assert is_child(found["again"], found["run again"])


async def test_failures_and_retries_are_on_the_spans(spans: Spans, instrumented: Made) -> None:
    """A failed call has the status, the type of the error and its text, and so has the run; retries are events."""
    left = [1]

    @cs.task
    def flaky() -> str:
        if left:
            left.pop()
            raise OSError("not yet")
        return current()

    async with Engine() as engine:
        instrumented(engine)
        assert await engine.run(flaky().with_retry(2, delay=0.0)) == "flaky"
        found = by_name(spans.take())
        [retry] = found["flaky"].events
        assert retry.name == "retry"
        assert (retry.attributes or {})[Attribute.EXCEPTION_TYPE] == "OSError"
        assert (found["flaky"].attributes or {})[Attribute.CALL_ATTEMPTS] == 2
        assert found["flaky"].status.status_code is StatusCode.UNSET
        with pytest.raises(ValueError, match="no such boot"):
            await engine.run(again(fail()))
        found = by_name(spans.take())
        assert sorted(found) == ["fail", "run again"]  # what never started has no span
        for name, facts in (("fail", Attribute.CALL_STATUS), ("run again", Attribute.RUN_STATUS)):
            assert found[name].status.status_code is StatusCode.ERROR
            assert "no such boot" in str(found[name].status.description)
            assert (found[name].attributes or {})[facts] == "Failed"
        assert (found["fail"].attributes or {})[Attribute.ERROR_TYPE] == "ValueError"
        assert [event.name for event in found["fail"].events] == ["exception"]


async def test_a_cancelled_run_ends_all_its_spans(spans: Spans, instrumented: Made) -> None:
    """Each span that began ends, also when the run is cancelled; a cancellation is no error."""
    begun = asyncio.Event()

    @cs.task
    async def wait() -> None:
        begun.set()
        await asyncio.sleep(60)

    async with Engine() as engine:
        instrumented(engine)
        running = asyncio.ensure_future(engine.run(join(wait().after(here()))))
        await begun.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        found = by_name(spans.take())
        assert sorted(found) == ["here", "run join", "wait"]
        assert found["wait"].status.status_code is StatusCode.UNSET
        assert (found["wait"].attributes or {})[Attribute.CALL_STATUS] == "Cancelled"


async def test_a_run_that_is_refused_has_a_span(spans: Spans, instrumented: Made) -> None:
    """A run that can't begin has a span with the error, and no calls."""
    async with Engine() as engine:
        instrumented(engine)
        with pytest.raises(cs.CascadeError):
            await engine.run(here(cs.inject("nothing")))
        [span] = spans.take()
        assert span.status.status_code is StatusCode.ERROR


# Parents


async def test_a_span_that_is_current_is_the_parent(spans: Spans, instrumented: Made) -> None:
    """If a span is current where `run` is called, it is the parent of the run's; so it is for a run inside a call."""

    @cs.task
    async def outer() -> Any:
        async with Engine() as engine:
            return await engine.run(here())

    instrumented()
    with _tracers.get_tracer("test").start_as_current_span("request"):
        assert await cs.arun(outer()) == "here"
        assert current() == "request"
    found = by_name(spans.take())
    assert is_child(found["run outer"], found["request"])
    assert is_child(found["run here"], found["outer"])


def url_of(folder: Path) -> str:
    return f"sqlite:///{folder / 'runs.db'}"


_broken: list[bool] = []


@cs.task
def breaks(value: Any) -> Any:
    if _broken:
        _broken.pop()
        raise OSError("power cut")
    return value


def test_a_run_that_goes_on_is_in_the_trace_of_its_first_span(
    spans: Spans, instrumented: Made, tmp_path: Path
) -> None:
    """The first span is recorded; who goes on has a new span with that one as its remote parent, in one trace.

    A call that is read from the record has no second span.
    """
    instrumented()
    _broken.append(True)
    target = breaks(here())
    with pytest.raises(OSError, match="power cut"):
        cs.run(target, state=url_of(tmp_path), run_id="r")
    first = by_name(spans.take())
    assert sorted(first) == ["breaks", "here", "run breaks"]
    with _tracers.get_tracer("test").start_as_current_span("request") as request:
        cs.run(target, state=url_of(tmp_path), run_id="r")
    second = by_name(spans.take())
    assert sorted(second) == ["breaks", "request", "run breaks"]
    assert is_child(second["run breaks"], first["run breaks"])
    assert second["run breaks"].parent is not None
    assert second["run breaks"].parent.is_remote
    assert [link.context for link in second["run breaks"].links] == [request.get_span_context()]
    assert (second["run breaks"].attributes or {})[Attribute.RUN_RESUMED] is True
    cs.run(target, state=url_of(tmp_path), run_id="r")  # it is finished: its value is read
    [third] = spans.take()
    assert is_child(third, first["run breaks"])
    cs.run(target, state=url_of(tmp_path), run_id="r", restart=True)
    anew = by_name(spans.take())
    assert context_of(anew["run breaks"]).trace_id != context_of(first["run breaks"]).trace_id


def test_a_run_that_was_recorded_without_a_span_gets_its_first_one_later(
    spans: Spans, instrumented: Made, tmp_path: Path
) -> None:
    """A run that began without spans records the first one that it has."""
    _broken.extend([True, True])
    target = breaks(here())
    with pytest.raises(OSError, match="power cut"):
        cs.run(target, state=url_of(tmp_path), run_id="r")
    assert spans.take() == []
    instrumented()
    with pytest.raises(OSError, match="power cut"):
        cs.run(target, state=url_of(tmp_path), run_id="r")
    first = by_name(spans.take())
    cs.run(target, state=url_of(tmp_path), run_id="r")
    assert is_child(by_name(spans.take())["run breaks"], first["run breaks"])


# Instrumenting


async def test_an_engine_is_instrumented_until_that_is_undone(spans: Spans) -> None:
    """`uninstrument` ends it: no spans, and runs are as they were. A second time is refused meanwhile."""
    async with Engine() as engine:
        made = instrument(engine)
        with pytest.raises(cs.CascadeError, match="instrumented already"):
            instrument(engine)
        await engine.run(here())
        assert spans.names() == ["here", "run here"]
        made.uninstrument()
        made.uninstrument()
        assert await engine.run(here()) == "none"
        assert spans.names() == []
        instrument(engine).uninstrument()


def test_without_an_engine_all_that_are_made_afterwards_are_served(spans: Spans) -> None:
    """`instrument()` serves engines that are made afterwards, those of `cs.run` too, until it is undone."""
    before = Engine()
    made = instrument()
    try:
        with pytest.raises(cs.CascadeError, match="instrumented already"):
            instrument()
        cs.run(here())
        assert spans.names() == ["here", "run here"]
        asyncio.run(_run_in(before))
        assert spans.names() == []
        after = Engine()
    finally:
        made.uninstrument()
    asyncio.run(_run_in(after))
    cs.run(here())
    assert spans.names() == []


async def _run_in(engine: Engine) -> None:
    async with engine:
        await engine.run(here())


def test_no_provider_is_replaced(instrumented: Made) -> None:
    """The providers are the application's own, before and after."""
    before = trace.get_tracer_provider(), metrics.get_meter_provider()
    instrumented()
    cs.run(here())
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == before


def test_the_api_alone_is_enough_and_is_not_loaded_unasked() -> None:
    """Without the SDK, runs are as they are; without `instrument`, OpenTelemetry is not even imported."""
    program = """
import sys
import cascade as cs
@cs.task
def f(x): return x
assert cs.run(f.map([f(1), 2])) == [1, 2]
assert not any(name.startswith("opentelemetry") for name in sys.modules)
from cascade.runtime.otel import instrument
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
made = instrument()
assert cs.run(f.map([f(1), 2])) == [1, 2]
assert not any(name.startswith("opentelemetry.sdk") for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# Random workflows


@pytest.mark.parametrize("on_failure", ["stop", "finish"])
def test_each_call_that_ends_has_one_span(on_failure: str) -> None:
    """On random workflows the calls that have an end have a span each, with their status, all in one trace."""

    def make_engine(bus: MessageBus) -> Engine:
        engine = plain_engine(bus)
        instrument(engine)
        return engine

    @settings(max_examples=60, derandomize=True, database=None, deadline=None)
    @given(workflows())
    def check(workflow: Workflow) -> None:
        _exporter.clear()
        seen = observe(workflow.build(), make_engine, on_failure=on_failure)
        tags = {name for name, _ in seen.world.facts}
        ended = {
            event.task_id: event.status.value
            for event in seen.events
            if isinstance(event, TaskExecutionFinished)
            and "[" not in event.task_id
            and event.task_name in tags
        }
        exported = Spans().take()
        calls = [span.attributes or {} for span in exported if span.name in tags]
        assert len({context_of(span).trace_id for span in exported}) == 1
        assert len({context_of(span).span_id for span in exported}) == len(exported)
        assert {str(each[Attribute.CALL_ID]): each[Attribute.CALL_STATUS] for each in calls} == ended
        assert len(calls) == len(ended)
        known = {context_of(span).span_id for span in exported}
        assert all(span.parent is None or span.parent.span_id in known for span in exported)

    check()


# Metrics


def _points(name: str) -> dict[tuple[tuple[str, Any], ...], Any]:
    data = _reader.get_metrics_data()
    found = {}
    for resource in [] if data is None else data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                if metric.name == name:
                    for point in metric.data.data_points:
                        found[tuple(sorted((point.attributes or {}).items()))] = point
    return found


async def test_each_task_has_a_histogram_and_counters(instrumented: Made) -> None:
    """Durations of calls and runs, counts of calls, of retries and of skips, by the name of the task."""
    failed: list[int] = []

    @cs.task
    def measured(_: Any = 0) -> int:
        if len(failed) < 2:
            failed.append(1)
            raise OSError
        return 0

    async with Engine() as engine:
        instrumented(engine)
        await engine.run(measured().with_retry(2))
        await engine.run(measured.map(range(7)))
        with pytest.raises(cs.CascadeError):
            await engine.run(measured().run_if(measured()))
    of_task = (Attribute.TASK_NAME, "measured")
    succeeded = ((Attribute.CALL_STATUS, "Succeeded"), of_task)
    durations = _points("cascade.call.duration")[succeeded]
    assert durations.count == 3  # one call, one map, one condition
    assert durations.sum >= 0
    assert _points("cascade.calls")[succeeded].value == 3 + 7
    assert _points("cascade.retries")[(of_task,)].value == 2
    assert _points("cascade.skips")[((Attribute.SKIP_REASON, "ConditionFalse"), of_task)].value == 1
    runs = _points("cascade.run.duration")
    assert runs[((Attribute.RUN_STATUS, "Succeeded"), (Attribute.RUN_TARGET, "measured"))].count == 2


def test_values_and_secrets_are_in_no_span(spans: Spans, instrumented: Made) -> None:
    """Neither arguments, results, parameters nor secrets are in what is exported."""
    instrumented()
    canary = "canary-4711"
    cs.run(
        join(here(canary), again(cs.Param("p")), later(cs.Secret("s"))),
        params={"p": canary, "s": canary},
    )
    assert all(canary not in span.to_json() for span in spans.take())


def test_runs_in_several_threads_do_not_mix(spans: Spans, instrumented: Made) -> None:
    """Runs at the same time have a trace each."""
    instrumented()
    threads = [threading.Thread(target=cs.run, args=(join(here(), in_thread()),)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended = spans.take()
    assert len(ended) == 4 * 4
    traces = {context_of(span).trace_id for span in ended}
    assert len(traces) == 4
