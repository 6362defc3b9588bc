"""Services: what the parts of a run share. Each part takes from them what it needs when it is made."""

from __future__ import annotations

import os
from contextvars import Context
from typing import TYPE_CHECKING

from cascade.adapters.state.memory_state import InMemoryStateBackend
from cascade.adapters.travelling.carried_variables import CarriedVariable
from cascade.runtime.bus import MessageBus
from cascade.runtime.events import TaskExecutionFinished, TaskExecutionStarted, TaskSkipped
from cascade.runtime.frames.ending import Ending
from cascade.runtime.frames.frame import Job
from cascade.runtime.frames.inbox import Inbox
from cascade.runtime.frames.ready import ReadyQueue
from cascade.runtime.frames.reporting.publishing import Preview
from cascade.runtime.frames.reporting.reports import Reports
from cascade.runtime.frames.reporting.tracing import RunTracing
from cascade.runtime.options import RunOptions
from cascade.runtime.protocols import StateBackendFactory
from cascade.runtime.resource_manager import ResourceRegistry, RunResources
from cascade.runtime.running.handle_calls import HandleCalls
from cascade.runtime.sharing.blocked_loop import BlockedLoopWatch
from cascade.runtime.sharing.capacity import Capacity
from cascade.runtime.sharing.engine_resources import EngineResources
from cascade.runtime.sharing.placement import Placement
from cascade.runtime.sharing.single_flight import SharedCache
from cascade.runtime.sharing.time_slice import TimeSlice
from cascade.runtime.strategies import GraphReuse
from cascade.runtime.timeline.timeline_of_runs import Timeline
from cascade.spec.late_dataclasses import dataclass, field
from cascade.spec.protocols import StateBackend

if TYPE_CHECKING:
    from cascade.runtime.recording.recorder import Recorder  # brings hashing: loaded for recorded runs alone


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What all runs of one engine share, and how its runs are made.

    `direct` says whether inline calls may be made directly: executor and state are built in. `bounded` says whether
    `max_concurrency` bounds the calls.
    """

    bus: MessageBus
    state_factory: StateBackendFactory
    timeline: Timeline | None
    preview: Preview | None
    placement: Placement
    reuse: GraphReuse
    registry: ResourceRegistry
    resources: EngineResources
    carried: tuple[CarriedVariable, ...]
    capacity: Capacity
    cache: SharedCache[Job]
    watch: BlockedLoopWatch
    direct: bool = field(init=False)
    bounded: bool = field(init=False)

    def __post_init__(self) -> None:
        built_in = self.placement.is_local and self.state_factory is InMemoryStateBackend
        object.__setattr__(self, "direct", built_in)
        object.__setattr__(self, "bounded", self.capacity.bounds_calls)

    @property
    def is_bare(self) -> bool:
        """Whether plain calls may be made with nothing beside them: nobody bounds them or hears of them."""
        return self.direct and not self.bounded and self.timeline is None and not self.bus.is_heard

    def is_watched(self) -> bool:
        """Tell whether somebody wants to know what becomes of each call."""
        hears = self.bus.hears
        return (
            self.timeline is not None
            or hears(TaskExecutionStarted)
            or hears(TaskExecutionFinished)
            or hears(TaskSkipped)
        )


class Services:
    """What the parts of one run share: its options, its facts, its queues, its end, and its reports.

    `state` has the facts of the run, which `recording` keeps beyond it. `is_watched` says that the state is not the
    built-in one, so that somebody may look into it.
    """

    __slots__ = (
        "_salt",
        "cache",
        "capacity",
        "carried",
        "context",
        "ending",
        "handles",
        "inbox",
        "is_watched",
        "options",
        "placement",
        "ready",
        "recording",
        "registry",
        "reports",
        "resources",
        "reuse",
        "run_id",
        "state",
        "time_slice",
        "tracing",
    )

    def __init__(
        self, parts: EngineParts, options: RunOptions, run_id: str, context: Context, time_slice: TimeSlice
    ) -> None:
        self.options = options
        self.context = context
        self.run_id = run_id
        self.placement = parts.placement
        self.reuse = parts.reuse
        self.registry = parts.registry
        self.capacity = parts.capacity
        self.carried = parts.carried
        self.cache = parts.cache
        self.time_slice = time_slice
        self.inbox = Inbox()
        self.ending = Ending(time_slice, self.inbox)
        self.ready: ReadyQueue[object] = ReadyQueue()
        self.state: StateBackend = parts.state_factory(run_id=self.run_id)
        self.is_watched = type(self.state) is not InMemoryStateBackend
        timeline = parts.timeline if options.timeline is None else options.timeline
        is_recorded = self.is_watched and hasattr(self.state, "keep_timeline")
        is_unseen = is_recorded and timeline is None
        if is_unseen:
            timeline = Timeline(max_calls=0)  # what it has goes into the store
        self.reports = Reports(parts.bus, timeline, self.run_id, parts.preview, self.ending.interrupt)
        self.reports.is_recorded, self.reports.is_unseen = is_recorded, is_unseen
        self.resources = RunResources(
            parts.registry, parts.resources, options.params, self.reports.resource, self.ending.lose
        )
        self.recording: Recorder | None = None
        self.handles: HandleCalls | None = None  # where an executor may give some
        self.tracing: RunTracing | None = None
        self._salt: bytes | None = None

    @property
    def identity(self) -> str:
        """What tells this run from all others, and from one of its name that was begun before it and not resumed."""
        if self.recording is not None:
            return self.recording.identity
        if self._salt is None:
            self._salt = os.urandom(16)
        return f"{self.run_id}/{self._salt.hex()}"
