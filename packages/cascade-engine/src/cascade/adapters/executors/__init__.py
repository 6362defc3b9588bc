"""Executors make calls. This package shows what comes of calls that are made elsewhere: errors, and handles."""

from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    RemoteError,
    UnguardedMainError,
    WorkerDiedError,
    WorkerLoadError,
)
from cascade.adapters.executors.handles import Handle, HandleLostError, HandleUsedError

__all__ = [
    "BoundaryError",
    "Handle",
    "HandleLostError",
    "HandleUsedError",
    "RemoteError",
    "UnguardedMainError",
    "WorkerDiedError",
    "WorkerLoadError",
]
