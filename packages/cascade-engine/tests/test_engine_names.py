"""Claims about what is public in the engine wheel."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from cascade import runtime

RUNTIME_NAMES = [
    "AtomicLoopError",
    "BlockedLoopWarning",
    "CacheBypassed",
    "CascadeRuntimeError",
    "DependencyMissingError",
    "DriverResourceError",
    "Engine",
    "EngineClosedError",
    "EngineLoopError",
    "Event",
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
    "ResourceAcquired",
    "ResourceCancelledError",
    "ResourceCycleError",
    "ResourceNotFoundError",
    "ResourceReleased",
    "ResourceScopeError",
    "ResourceYieldError",
    "Resume",
    "RouteNotFoundError",
    "RunAbandonedError",
    "RunChangedError",
    "RunEndedError",
    "RunFinished",
    "RunStarted",
    "RunningLoopError",
    "SkipReason",
    "Solver",
    "Status",
    "TaskBlocked",
    "TaskCancelledError",
    "TaskEvent",
    "TaskExecutionFinished",
    "TaskExecutionStarted",
    "TaskRetrying",
    "TaskSkipped",
    "TaskTimeoutError",
    "Timeline",
    "TimeoutRefusedError",
    "UnknownExecutorError",
    "UnknownParamError",
    "WorkflowNotFoundError",
    "arun",
    "run",
]


def test_the_public_names() -> None:
    """`cascade.runtime` has these names, and each is there."""
    assert sorted(runtime.__all__) == RUNTIME_NAMES
    for name in RUNTIME_NAMES:
        assert hasattr(runtime, name)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("cascade.runtime.engine", "Engine"),
        ("cascade.runtime.strategies", "build_graph"),
        ("cascade.runtime.flow", "FlowManager"),
        ("cascade.runtime.resolvers", "resolve_arguments"),
        ("cascade.runtime.resource_manager", "RunResources"),
        ("cascade.runtime.bus", "MessageBus"),
        ("cascade.runtime.events", "TaskSkipped"),
        ("cascade.runtime.exceptions", "DependencyMissingError"),
        ("cascade.runtime.protocols", "Executor"),
        ("cascade.adapters.codec.trees", "encode_target"),
        ("cascade.runtime.why", "explain"),
        ("cascade.adapters.solvers.native", "NativeSolver"),
        ("cascade.adapters.executors.local", "LocalExecutor"),
        ("cascade.adapters.state", "InMemoryStateBackend"),
        ("cascade.adapters.state", "SqliteCatalog"),
        ("cascade.adapters.state", "RedisStateBackend"),
        ("cascade.adapters.cache", "InMemoryCacheBackend"),
        ("cascade.adapters.cache", "SqliteCacheBackend"),
        ("cascade.adapters.cache", "RedisCacheBackend"),
        ("cascade.adapters.codec", "DataCodec"),
        ("cascade.adapters.codec", "PickleCodec"),
    ],
)
def test_modules_stand_where_users_look_for_them(module: str, name: str) -> None:
    """The modules that carry the design's words are there, with what they are named for."""
    assert hasattr(importlib.import_module(module), name)


@pytest.mark.parametrize("module", ["cascade.runtime", "cascade.adapters", "cascade.testing"])
def test_importing_loads_nothing_that_is_used_rarely(module: str) -> None:
    """Importing the engine's packages loads neither networkx nor typer, no codec and no store."""
    libraries = {"networkx", "typer", "rich", "msgspec", "sqlite3", "apsw", "redis", "psycopg", "numpy"}
    heavy = {*libraries, "cascade.adapters.codec", "pkgutil"}
    if module == "cascade.runtime":
        heavy |= {"fractions", "decimal"}
    code = f"import sys, {module}; sys.exit(bool(sys.modules.keys() & {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
