"""OpenTelemetry: spans and metrics of runs and their calls, made with its API alone.

The providers are the application's own; without one, nothing is exported. `cascade-engine[otel]` brings the API.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from enum import StrEnum
from typing import Any

from opentelemetry import context as contexts
from opentelemetry import metrics, propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanContext, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from cascade.runtime.engine import Engine
from cascade.runtime.events import SkipReason, Status
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.reporting.tracing import Carrier, new_engines
from cascade.spec.calls.error_text import error_text
from cascade.spec.errors import SpecError
from cascade.spec.internal_tasks import INTERNAL_TASKS
from cascade.spec.lazy_types import LazyResult, MappedLazyResult

__all__ = ["Attribute", "Instrumentation", "instrument"]

MAX_LINKS = 128
"""So many links has a span at the most; exporters drop more by default."""

COUNTED_TOGETHER = 100
"""So many calls are counted before a counter is told."""

Labels = dict[str, AttributeValue]

_NAME = "cascade"
_W3C = TraceContextTextMapPropagator()
"""What a record names its first span by. Baggage is not recorded: it may hold anything."""


class Attribute(StrEnum):
    """The attributes of spans and metrics: Cascade's own, and those of the stable semantic conventions."""

    RUN_ID = "cascade.run.id"
    RUN_TARGET = "cascade.run.target"
    RUN_RESUMED = "cascade.run.resumed"
    RUN_STATUS = "cascade.run.status"
    TASK_NAME = "cascade.task.name"
    CALL_ID = "cascade.call.id"
    CALL_ITEM = "cascade.call.item"
    CALL_ATTEMPTS = "cascade.call.attempts"
    CALL_STATUS = "cascade.call.status"
    CALL_WORKER = "cascade.call.worker"
    MAP_ITEMS = "cascade.map.items"
    RETRY_DELAY = "cascade.retry.delay"
    SKIP_REASON = "cascade.skip.reason"
    FUNCTION = "code.function.name"
    ERROR_TYPE = "error.type"
    EXCEPTION_TYPE = "exception.type"
    EXCEPTION_MESSAGE = "exception.message"


class Instrumentation:
    """Makes spans and metrics of the runs that begin while it is there; `uninstrument` ends that."""

    def __init__(self, engine: Engine | None, calls: Collection[str] | None) -> None:
        self._engine = engine
        self.is_on = True
        self.calls = calls
        self.tracer = trace.get_tracer(_NAME)
        self.instruments = _Instruments()

    def uninstrument(self) -> None:
        """Make no spans and metrics of runs that begin from now on; runs under way keep theirs."""
        self.is_on = False
        if self._engine is not None and self._engine.tracing is self:
            self._engine.tracing = None
        if new_engines.tracing is self:
            new_engines.tracing = None

    def of_run(self, run_id: str) -> _RunSpans | None:
        """Return what makes the spans of one run."""
        return _RunSpans(self, run_id) if self.is_on else None


def instrument(engine: Engine | None = None, *, calls: Collection[str] | None = None) -> Instrumentation:
    """Make spans and metrics of the runs of an engine, or of all engines that are made from now on.

    Each run has a span, and each call has one inside of it; a map has one for all its items. With `calls`, the tasks of
    these names have spans, one for each item too, and no others. The span is current inside the call, in threads and
    in other processes too.

    Raises:
        SpecError: If `calls` are no names, or there are spans already.
    """
    if isinstance(calls, str) or (calls is not None and not all(isinstance(each, str) for each in calls)):
        raise SpecError(f"calls={calls!r}", 'give the names of tasks: calls=["fetch"]')
    before = new_engines.tracing if engine is None else engine.tracing
    if before is not None and before.is_on:
        what = "all new engines are" if engine is None or before is new_engines.tracing else "the engine is"
        raise SpecError(f"{what} instrumented already", "call uninstrument() of what that returned first")
    made = Instrumentation(engine, None if calls is None else frozenset(calls))
    if engine is None:
        new_engines.tracing = made
    else:
        engine.tracing = made
    return made


class _Instruments:
    """The metrics of all runs of one instrumentation."""

    def __init__(self) -> None:
        meter = metrics.get_meter(_NAME)
        self.runs = meter.create_histogram("cascade.run.duration", "s", "How long runs took.")
        self.durations = meter.create_histogram("cascade.call.duration", "s", "How long calls took.")
        self.calls = meter.create_counter("cascade.calls", "{call}", "Calls that have ended.")
        self.retries = meter.create_counter("cascade.retries", "{retry}", "Attempts after one that failed.")
        self.skips = meter.create_counter("cascade.skips", "{call}", "Calls that were not made.")


class _RunSpans:
    """The spans of one run. Those of calls are kept on their jobs: they may get children when they have ended."""

    def __init__(self, made_by: Instrumentation, run_id: str) -> None:
        self._calls = made_by.calls
        self._tracer = made_by.tracer
        self._metrics = made_by.instruments
        self._run_id = run_id
        self._target = ""
        self._began = time.time_ns()
        self._span: Span | None = None
        self._context = contexts.get_current()
        self._items: dict[Job, int] = {}
        self._counted: Counter[tuple[metrics.Counter, tuple[tuple[str, str], ...]]] = Counter()
        self._uncounted = 0
        self.spans_all = made_by.calls is None
        self.spans_calls = self.spans_all or bool(made_by.calls)

    # The run

    def begin_run(self, target: str, before: Carrier | None) -> Carrier:
        """Begin the run's span and make it current; `before` is the first span of a recorded run that goes on."""
        self._target = target
        current = trace.get_current_span().get_span_context()
        parent = None if before is None else _W3C.extract(before)
        links = [Link(current)] if parent is not None and current.is_valid else None
        attributes: Labels = {
            Attribute.RUN_ID: self._run_id,
            Attribute.RUN_TARGET: self._target,
            Attribute.RUN_RESUMED: before is not None,
        }
        self._span = self._tracer.start_span(
            f"run {self._target}", parent, attributes=attributes, links=links, start_time=self._began
        )
        self._context = trace.set_span_in_context(self._span)
        contexts.attach(self._context)
        carrier: dict[str, str] = {}
        _W3C.inject(carrier, self._context)
        return carrier

    def end_run(self, status: Status, error: str | None) -> None:
        """End the run's span; a run that could not begin has one too."""
        if self._span is None:
            self.begin_run("refused", None)
        assert self._span is not None
        self._span.set_attribute(Attribute.RUN_STATUS, status.value)
        if status is Status.FAILED:
            self._span.set_status(StatusCode.ERROR, error)
        self._span.end()
        self._tell_counters()
        seconds = (time.time_ns() - self._began) / 1e9
        self._metrics.runs.record(
            seconds, {Attribute.RUN_TARGET: self._target, Attribute.RUN_STATUS: status.value}, self._context
        )

    # Calls

    def has_span(self, lazy: LazyResult[Any], is_item: bool = False) -> bool:
        """Tell whether a call has a span of its own, or each item of a map has one."""
        if lazy.task in INTERNAL_TASKS and not isinstance(lazy, MappedLazyResult):
            return False
        return not is_item if self._calls is None else lazy.task.name in self._calls

    def begin(self, job: Job) -> None:
        """Begin the span of a call, if it has one."""
        if not self.has_span(job.lazy, job.item is not None):
            return
        parent, func = self._around(job), job.task.func
        attributes: Labels = {
            Attribute.RUN_ID: self._run_id,
            Attribute.TASK_NAME: job.name,
            Attribute.CALL_ID: job.task_id,
            Attribute.FUNCTION: f"{func.__module__}.{getattr(func, '__qualname__', job.name)}",
        }
        if job.item is not None:
            attributes[Attribute.CALL_ITEM] = job.item
        span = self._tracer.start_span(job.name, parent, attributes=attributes, links=_links(job))
        job.span = trace.set_span_in_context(span, parent)
        if job.item is None:
            job.frame.spans[job.position] = span.get_span_context()

    def note_items(self, job: Job, size: int) -> None:
        """Note on the span of a map how many items it has."""
        self._items[job] = size
        _span_of(job).set_attribute(Attribute.MAP_ITEMS, size)

    def note_retry(self, job: Job, error: BaseException, delay: float) -> None:
        """Note on the span of a call that an attempt has failed."""
        self._count(self._metrics.retries, 1, (Attribute.TASK_NAME, job.name))
        event = {**_error_attributes(error), Attribute.RETRY_DELAY: delay}
        _span_of(job).add_event("retry", event)

    def note_skip(self, job: Job, reason: SkipReason) -> None:
        """Count a call that is not made."""
        labels = (Attribute.TASK_NAME, job.name), (Attribute.SKIP_REASON, reason.value)
        self._count(self._metrics.skips, 1, *labels)

    def end(self, job: Job, status: Status, error: BaseException | None) -> None:
        """End the span of a call, and count it; the items of a map that have no spans are counted with it."""
        items = self._items.pop(job, 0)
        labels = (Attribute.TASK_NAME, job.name), (Attribute.CALL_STATUS, status.value)
        if items and status is Status.SUCCEEDED and not self.has_span(job.lazy, is_item=True):
            self._count(self._metrics.calls, items, *labels)
        if job.span is None:
            return
        span = _span_of(job)
        span.set_attributes(
            {
                Attribute.CALL_ATTEMPTS: job.attempt,
                Attribute.CALL_STATUS: status.value,
                Attribute.CALL_WORKER: job.worker,
            }
        )
        if error is not None and status is Status.FAILED:
            facts = _error_attributes(error)
            span.set_attribute(Attribute.ERROR_TYPE, facts[Attribute.EXCEPTION_TYPE])
            span.add_event("exception", facts)
            span.set_status(StatusCode.ERROR, error_text(error))
        span.end()
        self._count(self._metrics.calls, 1, *labels)
        seconds = max(0.0, (job.ended or time.monotonic()) - job.began)
        self._metrics.durations.record(seconds, dict(labels), job.span)

    def _count(self, counter: metrics.Counter, amount: int, *labels: tuple[str, str]) -> None:
        """Count something; a counter is told of many at a time, as that takes it as long as of one."""
        self._counted[counter, labels] += amount
        self._uncounted += 1
        if self._uncounted >= COUNTED_TOGETHER:
            self._tell_counters()

    def _tell_counters(self) -> None:
        counted, self._counted, self._uncounted = self._counted, Counter(), 0
        for (counter, labels), amount in counted.items():
            counter.add(amount, dict(labels))

    # Contexts

    def enter(self, job: Job) -> object:
        """Let this context be that of a call: its span is current, or that of the nearest call around it."""
        return contexts.attach(self._around(job) if job.span is None else job.span)

    def leave(self, entered: Any) -> None:
        """Let this context be again what it was before."""
        contexts.detach(entered)

    def carrier(self) -> tuple[tuple[str, str], ...]:
        """Return what names the current span of this context, and its baggage, for another process."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return tuple(carrier.items())

    def _around(self, job: Job) -> Context:
        """Return the context of the nearest call around a call that has a span, or that of the run."""
        outer = job.outer
        while outer is not None:
            if outer.span is not None:
                around: Context = outer.span
                return around
            outer = outer.outer
        return self._context


def _span_of(job: Job) -> Span:
    """Return the span of a call; for one without, a span that does nothing."""
    return trace.INVALID_SPAN if job.span is None else trace.get_current_span(job.span)


def _links(job: Job) -> list[Link]:
    """Return links to the spans of the calls whose values a call takes."""
    frame, found = job.frame, dict[int, SpanContext]()
    left, seen = [*frame.program.inputs[job.position]], set[int]()
    while left and len(found) < MAX_LINKS:
        node = left.pop(0)
        if node in seen:
            continue
        seen.add(node)
        span = frame.spans.get(node)
        if span is not None:
            found[span.span_id] = span
        elif frame.lazies[node].task in INTERNAL_TASKS:
            left += frame.program.inputs[node]  # it only hands on what it takes
    return [Link(each) for each in found.values()]


def _error_attributes(error: BaseException) -> Labels:
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return {Attribute.EXCEPTION_TYPE: name, Attribute.EXCEPTION_MESSAGE: error_text(error)}
