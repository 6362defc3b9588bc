"""Events: what a run tells those who subscribe to its message bus.

Events never change. No value of a task or parameter stands in them, but the text that `Engine(preview=...)` makes of a
result. Times are durations in seconds; an event has no time of its own. Errors are given as text.
"""

from __future__ import annotations

from enum import StrEnum

from cascade.spec.late_dataclasses import dataclass

__all__ = [
    "CacheBypassed",
    "Event",
    "ResourceAcquired",
    "ResourceReleased",
    "RunFinished",
    "RunStarted",
    "SkipReason",
    "Status",
    "TaskBlocked",
    "TaskEvent",
    "TaskExecutionFinished",
    "TaskExecutionStarted",
    "TaskRetrying",
    "TaskSkipped",
]


class SkipReason(StrEnum):
    """Why a node never started. Each such node is told once, by one `TaskSkipped`.

    `CONDITION_FALSE`: its own condition is false. `UPSTREAM_...`: something that it waits for has no value: a task that
    it comes after (sequence), its condition, an amount of its constraints, an argument (data), or the route that its
    router chose. `PRUNED`: it belongs to a route that was not chosen. `NOT_NEEDED`: only skipped nodes wanted it.
    `UPSTREAM_FAILED`: something that it waits for has failed, and the run goes on with the rest
    (`on_failure="finish"`). `RUN_STOPPED`: the run ended before its turn. `CACHE_HIT` and `RECOVERED`: its value was
    there, in the cache or in the record of the run.
    """

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
    """How a run or a call has ended."""

    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@dataclass(frozen=True, slots=True)
class Event:
    """The base of all events. Who subscribes to it hears every event.

    `run_id` is the name of the run: the one that it was given, or a random one of 32 hex digits.
    """

    run_id: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run begins, before its first call.

    `target_tasks` names the tasks of the target, those of each item if it is a list or a dict; `params` names the
    parameters that were given.
    """

    target_tasks: tuple[str, ...]
    params: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """A run has ended, and its resources are released. The last event of a run.

    `duration` is in seconds, from the beginning to the end of the run. `error` is the text of what it raises.
    """

    status: Status
    duration: float
    error: str | None = None


@dataclass(frozen=True, slots=True)
class TaskEvent(Event):
    """The base of events about one call.

    `task_id` is the id of the node, `n3` say, with the number of its tree behind it (`n3@2`) unless that is the run's
    first, and the index for an item of a map (`n3[0]`). `task_name` is the name of the task, or of the input.
    """

    task_id: str
    task_name: str


@dataclass(frozen=True, slots=True)
class TaskExecutionStarted(TaskEvent):
    """A call begins: its resources are open, and its first attempt is made. Retries have no event of this kind."""


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


@dataclass(frozen=True, slots=True)
class TaskSkipped(TaskEvent):
    """A call is not made, and why."""

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
    """A call waits until others give back capacity that it needs; `reason` says what it waits for."""

    reason: str


@dataclass(frozen=True, slots=True)
class CacheBypassed(TaskEvent):
    """A cached call is made, or its value kept, without the cache; `reason` says why.

    Comes once in a run for each task and kind of problem.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class ResourceAcquired(Event):
    """A resource is open. `scope` is `"run"` or `"task"`."""

    name: str
    scope: str


@dataclass(frozen=True, slots=True)
class ResourceReleased(Event):
    """A resource is closed. `scope` is `"run"` or `"task"`, `error` the text of what its release raised."""

    name: str
    scope: str
    error: str | None = None
