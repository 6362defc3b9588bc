"""Executors make calls. This package shows what comes of calls that are made elsewhere: errors, and handles."""

from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    RemoteError,
    UnguardedMainError,
    WorkerDiedError,
    WorkerLoadError,
)
from cascade.adapters.executors.call_places import CallPlace, Interruption
from cascade.adapters.executors.handles import Handle, HandleLostError, HandleUsedError
from cascade.adapters.travelling.travel_errors import CarriedVariableError, ResourceInputError

__all__ = [
    "BoundaryError",
    "CallPlace",
    "CarriedVariableError",
    "Handle",
    "HandleLostError",
    "HandleUsedError",
    "Interruption",
    "RemoteError",
    "ResourceInputError",
    "UnguardedMainError",
    "WorkerDiedError",
    "WorkerLoadError",
]
