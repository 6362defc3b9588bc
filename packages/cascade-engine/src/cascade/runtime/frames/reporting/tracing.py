"""Tracing: what the parts of a run tell and ask of whoever makes spans of its calls. Nothing here needs a library.

A call has a context of its own while it is made, in which its span is the current one. A call without a span is made in
that of the nearest call around it that has one, or of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cascade.runtime.events import SkipReason, Status
from cascade.runtime.frames.frame import Job
from cascade.spec.lazy_types import LazyResult

Carrier = Mapping[str, str]
"""A span, named so that another process can refer to it: W3C trace context."""


class RunTracing(Protocol):
    """Makes the spans of one run. Its methods are called in the context of the run, or of one of its calls.

    `spans_calls` says whether any calls have spans, `spans_all` whether all have that are no items of a map.
    """

    spans_calls: bool
    spans_all: bool

    def begin_run(self, target: str, before: Carrier | None) -> Carrier:
        """Begin the run's span and make it current; `before` is the first span of a recorded run that goes on."""

    def end_run(self, status: Status, error: str | None) -> None:
        """End the run's span."""

    def has_span(self, lazy: LazyResult[object], is_item: bool = False) -> bool:
        """Tell whether a call has a span of its own, or each item of a map has one."""

    def begin(self, job: Job) -> None:
        """A call begins."""

    def note_items(self, job: Job, size: int) -> None:
        """A call is a map of so many items."""

    def note_retry(self, job: Job, error: BaseException, delay: float) -> None:
        """An attempt of a call has failed, and another one follows."""

    def note_skip(self, job: Job, reason: SkipReason) -> None:
        """A call is not made."""

    def end(self, job: Job, status: Status, error: BaseException | None) -> None:
        """A call has ended."""

    def enter(self, job: Job) -> object:
        """Let this context be that of a call; return what `leave` takes."""

    def leave(self, entered: object) -> None:
        """Let this context be again what it was before."""

    def carrier(self) -> tuple[tuple[str, str], ...]:
        """Return what names the current span of this context for another process."""


class Tracing(Protocol):
    """Makes the spans of runs, as long as it is on."""

    is_on: bool

    def of_run(self, run_id: str) -> RunTracing | None:
        """Return what makes the spans of one run; `None` if it has none."""


class _NewEngines:
    """What engines that are made from now on are traced with."""

    __slots__ = ("tracing",)

    def __init__(self) -> None:
        self.tracing: Tracing | None = None


new_engines = _NewEngines()


def target_name(target: object) -> str:
    """Return what a run is known by among others: the name of its target's task, if it is a call."""
    return target.task.name if isinstance(target, LazyResult) else "several"
