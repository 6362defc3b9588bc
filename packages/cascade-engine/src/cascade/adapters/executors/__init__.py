"""Executors make calls. This package shows the errors of calls that are made in another process."""

from cascade.adapters.executors.boundary_errors import (
    BoundaryError,
    RemoteError,
    UnguardedMainError,
    WorkerDiedError,
    WorkerLoadError,
)

__all__ = ["BoundaryError", "RemoteError", "UnguardedMainError", "WorkerDiedError", "WorkerLoadError"]
