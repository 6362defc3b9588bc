"""Arrivals: results that a worker has put into the value store of the run become values here, or handles of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from cascade.adapters.call_facts import CallFacts, facts_in_context
from cascade.adapters.executors.chunks import CallEnd, Progress
from cascade.adapters.values.large_results import MadeValue, Results, results_in_context, stay_in_store
from cascade.spec.errors import CascadeError


async def arrived(value: Any, owner: object = None) -> Any:
    """Return a result of a worker, fetched from the value store if the worker has put it there.

    Where nobody looks at it, it is left there, and a handle is returned. `owner` is the executor that had it made.

    Raises:
        RunDamagedError: If it is not there.
        StoreError: If it can't be read.
    """
    results = results_in_context.get()
    if results is None or type(value) is not MadeValue:
        return value
    if stay_in_store.get():
        return results.handle(value, owner, _task())
    return await results.arrived(value)


async def arrived_ends(progress: Progress, owner: object = None) -> Progress:
    """Do the same for all calls of a chunk that have ended."""
    results = results_in_context.get()
    if results is None or not any(type(end.value) is MadeValue for end in progress.ends):
        return progress
    if stay_in_store.get():
        task = _task()
        ends = [
            end._replace(value=results.handle(end.value, owner, task))
            if type(end.value) is MadeValue
            else end
            for end in progress.ends
        ]
        return progress._replace(ends=ends)
    return progress._replace(ends=[await _arrived_end(results, end) for end in progress.ends])


async def arrived_chunk(chunk: AsyncIterator[Progress]) -> AsyncIterator[Progress]:
    """Do the same for all that is told of a chunk."""
    async for progress in chunk:
        yield await arrived_ends(progress)


def _task() -> str:
    facts = facts_in_context.get()
    return "" if facts is None else str(CallFacts(*facts).task)


async def _arrived_end(results: Results, end: CallEnd) -> CallEnd:
    if type(end.value) is not MadeValue:
        return end
    try:
        return end._replace(value=await results.arrived(end.value))
    except CascadeError as problem:
        return end._replace(value=None, error=problem)
