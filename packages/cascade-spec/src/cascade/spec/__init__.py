"""What a user writes down: tasks, lazy results, policies, inputs, resources and the protocols."""

from cascade.spec.caching import ByInputs, FileExists
from cascade.spec.common import Env, EnvContract, Param, ParamContract, Secret, SecretValue
from cascade.spec.compose import gather, map, pipeline, sequence
from cascade.spec.constraint import Constraints
from cascade.spec.errors import (
    CallError,
    CascadeError,
    CodecError,
    ContractConflictError,
    DamagedDataError,
    DataVersionError,
    InputError,
    LazyUseError,
    MapError,
    MapLengthError,
    MissingWheelError,
    NotLazyError,
    PolicyError,
    SpecError,
    StoredReferenceError,
    TaskReferenceError,
    UncacheableError,
)
from cascade.spec.lazy_types import LazyResult, MappedLazyResult, ParamLazyResult, SequenceLazyResult
from cascade.spec.missing import MISSING
from cascade.spec.policies import Mode, Policies, RetryPolicy
from cascade.spec.protocols import CacheBackend, CachedCall, CachePolicy, Codec, Hit, StateBackend
from cascade.spec.resource import Inject, Resource, Scope, inject, resource
from cascade.spec.routing import Router
from cascade.spec.task import PartialTask, Task, task
from cascade.spec.workflow import WorkflowSpec

__all__ = [
    "MISSING",
    "ByInputs",
    "CacheBackend",
    "CachePolicy",
    "CachedCall",
    "CallError",
    "CascadeError",
    "Codec",
    "CodecError",
    "Constraints",
    "ContractConflictError",
    "DamagedDataError",
    "DataVersionError",
    "Env",
    "EnvContract",
    "FileExists",
    "Hit",
    "Inject",
    "InputError",
    "LazyResult",
    "LazyUseError",
    "MapError",
    "MapLengthError",
    "MappedLazyResult",
    "MissingWheelError",
    "Mode",
    "NotLazyError",
    "Param",
    "ParamContract",
    "ParamLazyResult",
    "PartialTask",
    "Policies",
    "PolicyError",
    "Resource",
    "RetryPolicy",
    "Router",
    "Scope",
    "Secret",
    "SecretValue",
    "SequenceLazyResult",
    "SpecError",
    "StateBackend",
    "StoredReferenceError",
    "Task",
    "TaskReferenceError",
    "UncacheableError",
    "WorkflowSpec",
    "gather",
    "inject",
    "map",
    "pipeline",
    "resource",
    "sequence",
    "task",
]
