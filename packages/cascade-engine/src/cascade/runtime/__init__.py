"""Running: the engine, its events and errors."""

from cascade.runtime import events
from cascade.runtime.api import arun, run
from cascade.runtime.bus import MessageBus
from cascade.runtime.engine import Engine
from cascade.runtime.events import *  # noqa: F403 - its `__all__` has the events alone
from cascade.runtime.exceptions import (
    AtomicLoopError,
    BlockedLoopWarning,
    CascadeRuntimeError,
    DependencyMissingError,
    DriverResourceError,
    EngineClosedError,
    EngineLoopError,
    IdempotencyKeyError,
    InlineTimeoutError,
    MapItemSkippedError,
    ProvisionalValueError,
    RequirementError,
    ResourceCancelledError,
    ResourceCycleError,
    ResourceNotFoundError,
    ResourceScopeError,
    ResourceYieldError,
    RouteNotFoundError,
    RunAbandonedError,
    RunChangedError,
    RunEndedError,
    RunningLoopError,
    TaskCancelledError,
    TaskTimeoutError,
    TimeoutRefusedError,
    UnknownExecutorError,
    UnknownParamError,
    WorkflowNotFoundError,
)
from cascade.runtime.protocols import Executor, Solver
from cascade.runtime.recorded_runs.recovered_run import RecoveredRun, RecoveryOutcome
from cascade.runtime.settings import OnFailure, Resume
from cascade.runtime.timeline.timeline_of_runs import Timeline

__all__ = [
    "AtomicLoopError",
    "BlockedLoopWarning",
    "CascadeRuntimeError",
    "DependencyMissingError",
    "DriverResourceError",
    "Engine",
    "EngineClosedError",
    "EngineLoopError",
    "Executor",
    "IdempotencyKeyError",
    "InlineTimeoutError",
    "MapItemSkippedError",
    "MessageBus",
    "OnFailure",
    "ProvisionalValueError",
    "RecoveredRun",
    "RecoveryOutcome",
    "RequirementError",
    "ResourceCancelledError",
    "ResourceCycleError",
    "ResourceNotFoundError",
    "ResourceScopeError",
    "ResourceYieldError",
    "Resume",
    "RouteNotFoundError",
    "RunAbandonedError",
    "RunChangedError",
    "RunEndedError",
    "RunningLoopError",
    "Solver",
    "TaskCancelledError",
    "TaskTimeoutError",
    "Timeline",
    "TimeoutRefusedError",
    "UnknownExecutorError",
    "UnknownParamError",
    "WorkflowNotFoundError",
    "arun",
    "run",
]
__all__ += events.__all__
