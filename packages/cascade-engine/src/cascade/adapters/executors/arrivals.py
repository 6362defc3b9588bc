"""Arrivals: results that a worker has put into the value store of the run become values here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from cascade.adapters.executors.chunks import CallEnd, Progress
from cascade.adapters.values.large_results import MadeValue, Results, results_in_context
from cascade.spec.errors import CascadeError


async def arrived(value: Any) -> Any:
    """Return a result of a worker, fetched from the value store if the worker has put it there.

    Raises:
        RunDamagedError: If it is not there.
        StoreError: If it can't be read.
    """
    results = results_in_context.get()
    return await results.arrived(value) if results is not None and type(value) is MadeValue else value


async def arrived_ends(progress: Progress) -> Progress:
    """Do the same for all calls of a chunk that have ended."""
    results = results_in_context.get()
    if results is None or not any(type(end.value) is MadeValue for end in progress.ends):
        return progress
    return progress._replace(ends=[await _arrived_end(results, end) for end in progress.ends])


async def arrived_chunk(chunk: AsyncIterator[Progress]) -> AsyncIterator[Progress]:
    """Do the same for all that is told of a chunk."""
    async for progress in chunk:
        yield await arrived_ends(progress)


async def _arrived_end(results: Results, end: CallEnd) -> CallEnd:
    if type(end.value) is not MadeValue:
        return end
    try:
        return end._replace(value=await results.arrived(end.value))
    except CascadeError as problem:
        return end._replace(value=None, error=problem)
