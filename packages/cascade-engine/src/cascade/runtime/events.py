"""Events: what a run tells those who listen. Values never appear in them, unless previews are asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class SkipReason(StrEnum):
    """Why a node never started."""

    CONDITION_FALSE = "ConditionFalse"
    UPSTREAM_SEQUENCE = "UpstreamSkipped_Sequence"
    UPSTREAM_CONDITION = "UpstreamSkipped_Condition"
    UPSTREAM_CONSTRAINT = "UpstreamSkipped_Constraint"
    UPSTREAM_DATA = "UpstreamSkipped_Data"
    UPSTREAM_ROUTE = "UpstreamSkipped_Route"
    PRUNED = "Pruned_UnselectedRoute"
    NOT_NEEDED = "NotNeeded"
    UPSTREAM_FAILED = "UpstreamFailed"
    RUN_STOPPED = "RunStopped"
    CACHE_HIT = "CacheHit"
    RECOVERED = "Recovered"


class Status(StrEnum):
    """How a run or a task ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events; whoever subscribes to it hears every one."""

    run_id: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run begins. `params` holds names only."""

    target_tasks: tuple[str, ...]
    params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """A run has ended, its resources are released. `duration` is in seconds."""

    status: Status
    duration: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TaskEvent(Event):
    """The base of events about one call. In a run's first graph `task_id` is the id of the node."""

    task_id: str
    task_name: str


@dataclass(frozen=True, slots=True)
class TaskExecutionStarted(TaskEvent):
    """A call begins."""

    def __init__(self, run_id: str, task_id: str, task_name: str) -> None:
        # This and the next are made once per node. The `__init__` that a frozen dataclass is given looks each slot up
        # by its name, which takes twice as long. Watched by observatory/benchmarks/bench_events.py.
        _set_run_id(self, run_id)
        _set_task_id(self, task_id)
        _set_task_name(self, task_name)


@dataclass(frozen=True, slots=True)
class TaskExecutionFinished(TaskEvent):
    """A call has ended, after all its attempts.

    `duration` is in seconds, from the beginning of its first attempt to the end of its last one, waits between them
    included; the opening and the release of its resources are not.
    """

    status: Status
    duration: float
    error: str | None = None
    result_preview: str | None = None

    def __init__(
        self,
        run_id: str,
        task_id: str,
        task_name: str,
        status: Status,
        duration: float,
        error: str | None = None,
        result_preview: str | None = None,
    ) -> None:
        _set_run_id(self, run_id)
        _set_task_id(self, task_id)
        _set_task_name(self, task_name)
        _set_status(self, status)
        _set_duration(self, duration)
        _set_error(self, error)
        _set_result_preview(self, result_preview)


@dataclass(frozen=True, slots=True)
class TaskSkipped(TaskEvent):
    """A call is not made."""

    reason: SkipReason


@dataclass(frozen=True, slots=True)
class TaskRetrying(TaskEvent):
    """An attempt failed; retry number `attempt` of `max_attempts` follows in `delay` seconds."""

    attempt: int
    max_attempts: int
    delay: float
    error: str


@dataclass(frozen=True, slots=True)
class TaskBlocked(TaskEvent):
    """A call waits until others give back what it needs."""

    reason: str


@dataclass(frozen=True, slots=True)
class CacheBypassed(TaskEvent):
    """A call is made, or its value kept, without the cache. Comes once in a run for each task and kind of problem."""

    reason: str


@dataclass(frozen=True, slots=True)
class ResourceAcquired(Event):
    """A resource is open."""

    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class ResourceReleased(Event):
    """A resource is closed; `error` tells what its release raised."""

    name: str
    scope: str
    error: str | None = None


def _setter(cls: type[Event], name: str) -> Callable[[Event, object], None]:
    setter: Callable[[Event, object], None] = vars(cls)[name].__set__
    return setter


_set_run_id = _setter(Event, "run_id")
_set_task_id = _setter(TaskEvent, "task_id")
_set_task_name = _setter(TaskEvent, "task_name")
_set_status = _setter(TaskExecutionFinished, "status")
_set_duration = _setter(TaskExecutionFinished, "duration")
_set_error = _setter(TaskExecutionFinished, "error")
_set_result_preview = _setter(TaskExecutionFinished, "result_preview")
